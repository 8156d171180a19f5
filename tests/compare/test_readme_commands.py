"""Every command that the README shows runs: most of them here, as they stand or shortened, the rest elsewhere."""

import re
from pathlib import Path

import pytest

from compare.__main__ import main

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
TEXT = "the quick brown fox jumps over the lazy dog\n" * 40
SERIES = "month,NAME\n" + "".join(f"{t},{t % 12}\n" for t in range(200))
SHORT = ["--steps", "2", "--hidden", "4", "--batch-size", "4"]
FILES = {
    "FILE.txt": TEXT,
    "FILE.csv": SERIES,
    "FOLDER/one.txt": "Anna\nAnni\nAnka\nAnja\n" * 3,
    "FOLDER/two.txt": "Otto\nOdo\nOskar\nOle\n" * 3,
    "mine.csv": "loss\n2.5\n2.4\n2.3\n2.2\n",
    "FILE.py": "",
}

# How each is run here: the arguments that are added to make it short, and the exit statuses that are right for it.
HERE = {
    "byhand": (SHORT, {0}),
    "byhand --resume": (SHORT, {0}),
    "byhand curves names --cell gru --layers 2 --bidirectional": (SHORT, {0}),
    "byhand curves --help": ([], {0}),
    "byhand curves TASK --cell CELL --steps 1000 --dtype DTYPE": None,  # what a table was measured with
    "byhand curves text --data FILE.txt": ([*SHORT, "--window", "8"], {0}),
    "byhand curves names --data FOLDER": (SHORT, {0}),
    "byhand curves series --data FILE.csv --column NAME": ([*SHORT, "--window", "12"], {0}),
    "byhand gradients": (["--steps", "4", "--hidden", "4", "--batch-size", "2"], {0}),
    "byhand gradients --tape --cell rnn": ([], {0}),
    "byhand gradients --mistakes": None,  # test_mistakes.py
    "byhand exercise": ([], {0}),
    "byhand exercise lstm": ([], {0}),
    "byhand exercise --progress": ([], {0}),
    "byhand check lstm.py": None,  # test_readme.py, to the letter
    "byhand check FOLDER": None,  # test_check.py
    "byhand page": ([], {0}),
    "byhand traps": (["text", "--steps", "2"], {0}),
    "byhand traps names --match mine.csv": (["--steps", "4"], {1}),
    "byhand bench": None,  # test_bench.py: it takes minutes
    'pip install -e ".[test]" && pytest': None,  # .ci/run
    'pytest -m "not torch"': None,  # .ci/run
    "pytest --hypothesis-profile thorough": None,  # hours
    "pytest --hypothesis-profile thorough tests/learner/test_check.py -s -k other_styles": None,  # every fourth
    "mutmut run": None,  # an hour
    "python tests/compare/test_notebook.py": None,  # test_notebook.py runs the same notebook
    "pip install -e . jupyterlab && jupyter lab compare/walkthrough.ipynb": None,  # waits for a reader
}


def shown():
    """The commands in the README: whole lines of its blocks, and what stands between backticks."""
    blocks = README.split("```")[1::2]
    prose = "".join(README.split("```")[0::2])
    lines = [line.strip() for block in blocks for line in block.split("\n")] + re.findall(r"`([^`\n]+)`", prose)
    commands = (line for line in lines if re.match(r"(python|pip|pytest|mutmut|jupyter) ", line))
    return {line.replace("pip install -e . && python", "python") for line in commands}


def test_every_command_shown_is_known_here():
    assert shown() == set(HERE)


@pytest.mark.torch
@pytest.mark.parametrize("command", [command for command, how in HERE.items() if how])
def test_it_runs(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    more, statuses = HERE[command]
    try:
        status = main([*command.split()[3:], *more])
    except SystemExit as stopped:  # --help
        status = stopped.code
    assert status in statuses, capsys.readouterr().err
