"""Shared by the tests of the commands: a folder to run in, refusals, runs that draw nothing, and the page."""

import json
import re

import pytest
from helpers import contents, leave_undrawn

from compare.__main__ import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The test's own folder, empty at first, as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(folder, capsys):
    """A function: run a command that must end with status 2, one line and no file changed; return the line."""

    def run(command):
        before = contents(folder)
        capsys.readouterr()
        try:
            status = main(command)
        except SystemExit as stopped:  # what argparse refuses
            status = stopped.code
        said = capsys.readouterr()
        assert status == 2
        assert said.err.startswith("error: ") and said.err.endswith("\n") and said.err.count("\n") == 1, said.err
        assert not said.out, "it is refused before anything is done"
        assert contents(folder) == before
        return said.err

    return run


@pytest.fixture
def undrawn(monkeypatch):
    leave_undrawn(monkeypatch)


@pytest.fixture(scope="session")
def page_path(tmp_path_factory):
    """The page, built once per process."""
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
