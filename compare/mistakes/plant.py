"""Plant a mistake of the catalogue: import `scratch` with that mistake in it."""

import importlib
import linecache
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

import scratch
from compare.mistakes.catalogue import Mistake


def planted(mistake: Mistake) -> ModuleType:
    """The package `scratch`, imported once more with the mistake in it.

    Nothing is written to disk, and `import scratch` gives the right one before and after. Not safe while another thread
    imports: for a moment the names in sys.modules belong to the new package.
    Raises ValueError when the mistake's right lines are not found exactly once.
    """
    real = take_out_of_sys_modules()
    try:
        return plant(mistake)
    finally:
        take_out_of_sys_modules()
        sys.modules |= real


def plant(mistake):
    """Import `scratch` with the mistake in it, for the rest of this process. Returns the package."""
    finder = Planter(mistake, path_of(mistake), planted_source(mistake))
    take_out_of_sys_modules()
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module("scratch")
    finally:
        sys.meta_path.remove(finder)


def path_of(mistake: Mistake) -> Path:
    return Path(scratch.__file__).parent / f"{mistake.file}.py"


def planted_source(mistake: Mistake, source: str | None = None) -> str:
    """The text of the mistake's file, or `source`, with the mistake in it. Raises ValueError as `planted` does."""
    path = path_of(mistake)
    source = path.read_text(encoding="utf-8") if source is None else source
    found = source.count(mistake.right)
    if found != 1:
        raise ValueError(
            f"mistake {mistake.name}: its right lines are found {found} times in {path}, not once. If that "
            f"file has changed on purpose, update the catalogue.\n{mistake.right}"
        )
    return source.replace(mistake.right, mistake.wrong)


def take_out_of_sys_modules() -> dict[str, ModuleType]:
    """Remove scratch and its modules, so that the next import reads them again. Returns them by name."""
    names = [name for name in sys.modules if name.split(".")[0] == "scratch"]
    return {name: sys.modules.pop(name) for name in names}


class Planter(SourceFileLoader):
    """An import hook that loads one module of scratch from changed source."""

    def __init__(self, mistake, path, source):
        super().__init__(f"scratch.{mistake.file}", str(path))
        self.title, self.source = f"<scratch/{path.name} with {mistake.name}>", source

    def find_spec(self, name, path, target=None):
        return spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, name):
        # tracebacks show the changed lines
        linecache.cache[self.title] = len(self.source), None, self.source.splitlines(keepends=True), self.title
        return compile(self.source, self.title, "exec")
