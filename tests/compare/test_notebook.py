"""compare/walkthrough.ipynb runs as it is, and the outputs stored in it are what it prints.

`python tests/compare/test_notebook.py` runs it and stores its outputs.
"""

import os
import re
import tempfile
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from test_readme import anchors

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "compare" / "walkthrough.ipynb"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
SECONDS = 180  # for one cell: only a cell that hangs takes so long
NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?")


def executed(folder):
    """The notebook with fresh outputs, run in `folder` by a kernel without the user's own settings."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        km=AsyncKernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[])),  # this Python, no other "python3"
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(cleanup_kc=True, env=os.environ | {"PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / "ipython")})
    notebook.metadata = nbformat.from_dict(METADATA)  # the kernel's own names the machine
    return notebook


@pytest.fixture(scope="module")
def stored():
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    return executed(tmp_path_factory.mktemp("notebook"))


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell):
    """Everything that a cell shows as text."""
    texts = [o.text if o.output_type == "stream" else o.data.get("text/plain", "") for o in cell.outputs]
    return "\n".join(texts)


def pictures(cell):
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def difference(old, new, rounding):
    """Where two texts differ by more than two machines do, or None: their words must be equal, and their numbers too,
    except for the last digits. rounding: numbers with a point are rounding errors, which differ between machines.
    """
    words = [re.sub(r"\s+", " ", NUMBER.sub(" # ", text)) for text in (old, new)]
    if words[0] != words[1]:
        return f"{words[0]}\n  is now\n{words[1]}"
    for before, after in zip(NUMBER.findall(old), NUMBER.findall(new), strict=True):
        if before == after or (rounding and "." in before and "." in after):
            continue
        whole = before.lstrip("+-").isdigit()
        if whole or abs(float(before) - float(after)) > max(1e-3 * abs(float(before)), 1.01 * last_digit(before)):
            return f"{before} is now {after} in\n{new}"
    return None


def last_digit(number):
    """One unit of the last digit that is written: 0.01 of "1.25", 1e-14 of "2e-14"."""
    mantissa, _, exponent = number.partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def test_it_prints_what_is_stored(stored, fresh):
    for old, new in zip(code(stored), code(fresh), strict=True):
        problem = difference(printed(old), printed(new), "rounding" in old.metadata.get("tags", []))
        assert not problem, f"cell {old.id}: {problem}\nif that is right: python tests/compare/test_notebook.py"
        assert pictures(old) == pictures(new), old.id


def test_it_is_stored_with_its_outputs(stored):
    assert [cell.execution_count for cell in code(stored)] == list(range(1, len(code(stored)) + 1))
    assert sum(pictures(cell) for cell in code(stored)) >= 8
    assert sum(bool(cell.outputs) for cell in code(stored)) >= 25
    assert NOTEBOOK.stat().st_size < 500_000


@pytest.mark.parametrize("which", ["stored", "fresh"])
def test_its_outputs_are_fit_to_be_shown(which, request):
    for cell in code(request.getfixturevalue(which)):
        for output in cell.outputs:
            assert output.output_type != "error" and output.get("name") != "stderr", f"{cell.id}: {output}"
        text = printed(cell)
        assert not re.search(r"Traceback|Warning|Error|0x[0-9a-f]{6}", text), f"{cell.id}: {text}"
        assert not re.search(r"""(^|[\s'"(=:])(/\w|[A-Z]:\\)""", text), f"{cell.id} shows a path of one machine: {text}"


def test_every_picture_has_an_alternative_text(stored):
    for cell in code(stored):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                assert output.metadata.get("image/png", {}).get("alt"), cell.id


def test_it_says_nothing_of_the_machine_and_keeps_its_ids(stored):
    nbformat.validate(stored)
    assert (stored.nbformat, stored.nbformat_minor) >= (4, 5)
    assert stored.metadata == METADATA
    ids = [cell.id for cell in stored.cells]
    assert len(set(ids)) == len(ids)
    for cell in stored.cells:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", cell.id), f"{cell.id}: give the cell a name for an id"
        assert set(cell.metadata) <= {"tags"}, cell.id
    assert NOTEBOOK.read_text(encoding="utf-8") == nbformat.writes(stored) + "\n"


def test_it_calls_the_code_and_repeats_none(stored):
    lines = {
        line.strip()
        for package in ("scratch", "torch_impl", "data")
        for path in (ROOT / package).glob("*.py")
        for line in path.read_text(encoding="utf-8").split("\n")
    }
    source = "\n".join(cell.source for cell in code(stored))
    code_lines = [line.strip() for line in source.split("\n") if not line.startswith(("import", "from"))]
    assert not [line for line in code_lines if len(line) > 30 and line in lines]
    assert not re.search(r"def (forward|backward)|np\.exp|sigmoid|\.autograd|class ", source)


def test_its_links_and_equations_lead_somewhere(stored):
    text = "\n".join(cell.source for cell in stored.cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    headings = re.findall(r"^## (.*)$", text, re.M)
    assert re.findall(r"^(\d\.) \[(.*)\]", text, re.M) == [tuple(heading.split(" ", 1)) for heading in headings]
    for target in links:
        path, _, anchor = target.partition("#")
        if not path:  # a heading of the notebook, by the name that Jupyter and GitHub give it
            assert anchor in [heading.replace(" ", "-") for heading in headings]
            continue
        assert (NOTEBOOK.parent / path).exists(), target
        assert not anchor or anchor in anchors(NOTEBOOK.parent / path), target
    derivation = (ROOT / "scratch" / "README.md").read_text(encoding="utf-8")
    numbers = re.findall(r"\([A-Z]\d\)", text)
    assert numbers and all(number in derivation for number in numbers)


def test_what_counts_as_a_difference():
    assert difference("loss 2.5231 at 10", "loss  2.5232 at 10\n", False) is None
    assert difference("2e-14", "3e-14", False) is None
    assert difference("1.3 roundings of (16, 64)", "2.0 roundings of (16, 64)", True) is None
    for old, new, rounding in (
        ("loss 2.5231", "loss 2.5300", False),
        ("loss 2.5231", "gain 2.5231", False),
        ("(16, 64)", "(16, 65)", True),
        ("1000 names", "1001 names", False),
        ("2e-14", "2e-13", False),
        ("0.5", "-0.5", False),
        ("0.5 0.5", "0.5", False),
        ("1.0", "nan", True),
    ):
        assert difference(old, new, rounding), (old, new)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        notebook = executed(Path(folder))
    nbformat.write(notebook, NOTEBOOK)
