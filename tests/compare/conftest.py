"""Shared by the tests of the commands: data that is read once, runs that draw nothing, and the page."""

import json
import re
from copy import copy
from functools import cache
from itertools import islice

import pytest
from helpers import CHECKED, leave_undrawn

import data
from compare.__main__ import main
from compare.mistakes.table import seen_by
from compare.page import planting


@pytest.fixture(scope="package", autouse=True)
def own_data_read_once():
    """The project's own data, read once per process, with a few of its test batches: most runs here would spend more
    time on the others than on all else."""
    load = data.load

    @cache
    def read(task, **options):
        dataset = load(task, **options)
        every = dataset.test_batches
        dataset.test_batches = lambda: islice(every(), 3)
        return dataset

    def load_or_copy(task, path=None, **options):
        return copy(read(task, **options)) if path is None else load(task, path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", load_or_copy)
        yield


@pytest.fixture
def undrawn(monkeypatch):
    leave_undrawn(monkeypatch)


@pytest.fixture(scope="session")
def page_path(tmp_path_factory):
    """The page, built once per process. Whether the weak ways of checking see a mistake is asked for CHECKED alone."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planting, "seen_by", lambda mistake: seen_by(mistake) if mistake.name in CHECKED else [])
        assert main(["page", "--out", str(folder)]) == 0
    return folder / "page.html"


@pytest.fixture(scope="session")
def page_html(page_path):
    return page_path.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def page_values(page_html):
    """What the page embeds."""
    return json.loads(re.search(r'<script type="application/json" id="values">(.*?)</script>', page_html, re.S)[1])
