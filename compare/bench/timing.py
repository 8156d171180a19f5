"""How long a training step takes, by hand and in torch, and how much memory a long sequence needs: `byhand bench`."""

import contextlib
import multiprocessing
import platform
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec

import rich
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from compare import files
from compare.bench import plot, tables, worker_process
from compare.bench.ablations import ABLATIONS
from compare.bench.worker_process import Step
from data import UserError

CELLS = ("rnn", "gru", "lstm")  # those that torch.nn has
SIZES = ((1, 25, 100), (32, 35, 128), (64, 100, 256), (128, 50, 512), (16, 512, 64))  # B, T, I = H
QUICK_SIZES = ((1, 25, 100), (32, 35, 128))
SCAN_WIDTHS, SCAN_LENGTHS = (16, 64, 256, 1024, 4096), (16, 64, 512)
LENGTHS = (100, 1000, 10_000, 100_000)
QUICK_LENGTHS = (100, 1000)


@dataclass(frozen=True)
class StepTime:
    """One training step: seconds, and the ratio scratch / torch. The medians of the rounds, and the extreme ratios.

    loop and jax: the ratios to a loop in torch, and to JAX, None where it is not installed.
    """

    cell: str
    B: int
    T: int
    H: int
    scratch: float
    torch: float
    ratio: float
    lowest: float
    highest: float
    loop: float
    jax: float | None


@dataclass(frozen=True)
class LongRun:
    """Forward and backward over T steps: bytes of memory (None: not known) and seconds. kind: see peak_memory."""

    kind: str
    T: int
    bytes: int | None
    seconds: float


@dataclass(frozen=True)
class Cost:
    """How much longer a step of the LSTM takes without an optimization, as a share of its time: 0.1 is 10 %."""

    without: str
    B: int
    T: int
    H: int
    cost: float


@dataclass(frozen=True)
class ScanTime:
    """Seconds of the two ways of scratch/scan.py over T steps of `width` numbers: the least of many calls."""

    width: int
    T: int
    loop: float
    doubling: float


@dataclass(frozen=True)
class Figures:
    """All that `byhand bench` measures, and on what."""

    processor: str
    libraries: tuple[str, ...]
    steps: tuple[StepTime, ...]
    long_runs: tuple[LongRun, ...]


def main(out: str, *, quick: bool = False, tricks: bool = False) -> int:
    """Measure, print the tables, leave bench.png and bench.json in the folder `out`. Returns the exit status, 0.

    quick: few sizes, short sequences; tricks: time a step without each optimization instead, leave no files.
    """
    folder = files.folder(out)
    sizes, lengths = (QUICK_SIZES, QUICK_LENGTHS) if quick else (SIZES, LENGTHS)
    with Progress(TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn()) as shown:
        found = (costs(sizes, shown), scan_times()) if tricks else measured(sizes, lengths, shown)
    if tricks:
        rich.print(tables.cost_table(found[0]), tables.scan_table(found[1]))
        return 0
    plot.draw(folder / "bench.png", found)
    files.write_json(folder / "bench.json", asdict(found))
    rich.print(tables.step_table(found.steps), tables.length_table(found.long_runs))
    print(f"picture: {folder / 'bench.png'}\nall numbers: {folder / 'bench.json'}")
    return 0


def measured(sizes, lengths, progress) -> Figures:
    """Everything but the costs."""
    names = ("scratch", "torch")
    with processes(*names) as pair:
        libraries = tuple(ask(process, worker_process.version, name) for process, name in zip(pair, names, strict=True))
    libraries += (f"jax {metadata.version('jax')}",) if find_spec("jax") else ()
    steps, long_runs = step_times(sizes, progress), memory_by_length(lengths, progress)
    return Figures(processor(), libraries, steps, long_runs)


def step_times(sizes, progress) -> tuple[StepTime, ...]:
    """Time one training step of every cell and size, scratch and each of the others in turn."""
    found = []
    job = progress.add_task("training steps", total=len(sizes) * len(CELLS))
    installed = ["jax"] if find_spec("jax") else []
    with processes("scratch", "torch", *installed) as (by_hand, by_torch, *by_jax):
        for B, T, H in sizes:
            for cell in CELLS:

                def against(process, library, seconds, step=(cell, B, T, H)):
                    return in_turn(((by_hand, Step("scratch", *step)), (process, Step(library, *step))), seconds)

                scratch, torch = against(by_torch, "torch", 1.2)
                ratios = [x / y for x, y in zip(scratch, torch, strict=True)]
                medians = map(statistics.median, (scratch, torch, ratios))
                loop = median_ratio(*against(by_torch, "torch loop", 0.3))
                jax = median_ratio(*against(by_jax[0], "jax", 0.6)) if by_jax else None
                found.append(StepTime(cell, B, T, H, *medians, min(ratios), max(ratios), loop, jax))
                progress.advance(job)
    return tuple(found)


def costs(sizes, progress) -> tuple[Cost, ...]:
    """For every ablation and size: the median of (a step without it) / (a step with it), minus 1."""
    found = []
    job = progress.add_task("a step without each optimization", total=len(sizes))
    with processes("scratch") as (process,):
        for B, T, H in sizes:
            whole = {inputs: Step("scratch", "lstm", B, T, H, inputs) for inputs in ("ids", "numbers")}
            without = [Step("scratch", "lstm", B, T, H, each.inputs, each.name) for each in ABLATIONS]
            steps = [*whole.values(), *without]
            times = dict(zip(steps, in_turn([(process, step) for step in steps]), strict=True))
            for step in without:
                found.append(Cost(step.without, B, T, H, median_ratio(times[step], times[whole[step.inputs]]) - 1))
            progress.advance(job)
    return tuple(found)


def scan_times() -> tuple[ScanTime, ...]:
    with processes("scratch") as (process,):
        sizes = [(width, T) for width in SCAN_WIDTHS for T in SCAN_LENGTHS]
        return tuple(ScanTime(*size, *ask(process, worker_process.scan_seconds, *size)) for size in sizes)


def median_ratio(times: list[float], others: list[float]) -> float:
    """Round by round, how many times as long as the others."""
    return statistics.median(x / y for x, y in zip(times, others, strict=True))


def in_turn(variants: Sequence[tuple[ProcessPoolExecutor, Step]], seconds: float = 1.2) -> list[list[float]]:
    """Time the variants one after the other, in at least 3 rounds. Returns the seconds per step, a list per variant."""
    once = max(ask(process, worker_process.seconds, step, 1) for process, step in variants)
    repeats = max(1, round(0.06 / once))
    rounds = max(3, min(25, round(seconds / (once * repeats * len(variants)))))
    times = [[] for _ in variants]
    for _ in range(rounds):
        for (process, step), found in zip(variants, times, strict=True):
            found.append(ask(process, worker_process.seconds, step, repeats))
    return times


def memory_by_length(lengths, progress) -> tuple[LongRun, ...]:
    """Memory and time of long sequences, each in a fresh process: one that had used more would reuse it unnoticed."""
    found = []
    job = progress.add_task("long sequences", total=len(lengths) * len(tables.KINDS))
    for T in lengths:
        for kind in tables.KINDS:
            with processes("torch" if kind == "torch" else "scratch") as (process,):
                ask(process, worker_process.peak_memory, kind, 2)  # the first call loads libraries
                found.append(LongRun(kind, T, *ask(process, worker_process.peak_memory, kind, T)))
            progress.advance(job)
    return tuple(found)


def processor() -> str:
    """Its name, if the system reports it."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


@contextlib.contextmanager
def processes(*libraries: str) -> Iterator[list[ProcessPoolExecutor]]:
    """A process for each library, prepared by worker_process.start."""
    context = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(ProcessPoolExecutor(1, context, worker_process.start, (library,)))
            for library in libraries
        ]


def ask(process, function, *arguments):
    """What a function returns in another process. Raises UserError if that runs out of memory or is killed."""
    try:
        return process.submit(function, *arguments).result()
    except BrokenProcessPool as error:
        raise UserError("a process was killed, most likely for lack of memory; try --quick") from error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):  # torch says so in a RuntimeError
            raise
        raise UserError("not enough memory; try --quick") from error
