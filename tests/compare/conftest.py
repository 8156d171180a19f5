"""The page, built once per process."""

import json
import re

import pytest


@pytest.fixture(scope="session")
def page_path(tmp_path_factory):
    from compare.__main__ import main

    folder = tmp_path_factory.mktemp("page")
    assert main(["page", "--out", str(folder)]) == 0
    return folder / "page.html"


@pytest.fixture(scope="session")
def page_html(page_path):
    return page_path.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def page_values(page_html):
    """What the page embeds."""
    return json.loads(re.search(r'<script type="application/json" id="values">(.*?)</script>', page_html, re.S)[1])
