"""How long a training step takes and how much memory it needs, by hand and in torch: `byhand bench`."""

import contextlib
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time

import rich
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from compare import files, plots
from compare.bench import worker_process
from compare.bench.ablations import TRICKS
from data import UserError

CELLS = ("rnn", "gru", "lstm")
SIZES = ((1, 25, 100), (32, 35, 128), (64, 100, 256), (128, 50, 512), (16, 512, 64))  # B, T, I = H
QUICK_SIZES = ((1, 25, 100), (32, 35, 128))
LENGTHS = (100, 1000, 10_000, 100_000)
QUICK_LENGTHS = (100, 1000)
PAUSE = 0.15  # seconds: OpenBLAS's threads go on spinning for 0.1 after their last product

# What glibc must be told so that it keeps memory which torch gives back at each step, see scratch/README.md.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**28),
}


class Worker:
    """A process that computes one side with a number of threads; `ask` waits for its answer."""

    def __init__(self, side, threads=1, keep_memory=False):
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
        with environment(dict.fromkeys(names, str(threads)) | (KEEP_MEMORY if keep_memory else {})):
            self.process = context.Process(target=worker_process.serve, args=(side, threads, other), daemon=True)
            self.process.start()  # both libraries read these variables once, when they are loaded
        other.close()
        self.side = side

    def ask(self, name, *arguments):
        try:
            self.connection.send((name, arguments))
            done, answer = self.connection.recv()
        except (EOFError, ConnectionError) as error:
            raise UserError(
                f"the {self.side} process was ended from outside, most likely out of memory; try --quick"
            ) from error
        if not done:
            raise UserError(f"{self.side}: {answer}; try --quick")
        return answer

    def stop(self, at_once=False):
        if not at_once:
            with contextlib.suppress(OSError):
                self.connection.send(None)
            self.process.join(5)
        self.process.kill()


@contextlib.contextmanager
def environment(variables):
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def workers(*descriptions):
    found = []
    try:
        for description in descriptions:
            found.append(Worker(*description))
        yield found
    finally:
        for worker in found:
            worker.stop(at_once=sys.exc_info()[0] is not None)


def main(out, quick=False, as_json=False, tricks=False):
    """Measure, print the tables, draw bench.png. Returns 0: a benchmark passes no judgement."""
    path = files.folder(out) / "bench.png"
    sizes, lengths = (QUICK_SIZES, QUICK_LENGTHS) if quick else (SIZES, LENGTHS)
    cores = os.cpu_count() or 1
    columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn())
    if tricks:
        with Progress(*columns, disable=as_json) as progress:
            costs = cost_of_leaving_out(sizes, progress)
        print(json.dumps(costs, indent=2)) if as_json else rich.print(tricks_table(costs))
        return 0
    with Progress(*columns, disable=as_json) as progress:
        timed = steps(sizes, CELLS, progress)
        two_threads = steps(sizes, ("lstm",), progress, threads=2) if cores > 1 else []
        memory = layer_memory(10_000 if not quick else 1000, progress)
        long = by_length(lengths, progress)
    about = {"processor": processor(), "cores": cores, "sides": versions()}
    figures = about | {"one_thread": timed, "two_threads": two_threads, "memory": memory, "by_length": long}
    plots.bench(path, figures)
    files.write_whole(path.with_name("bench.json"), (json.dumps(figures, indent=2) + "\n").encode())
    if as_json:
        print(json.dumps(figures | {"picture": str(path)}, indent=2))
        return 0
    show(figures)
    print(f"picture: {path}   all figures: {path.with_name('bench.json')}")
    return 0


def steps(sizes, cells, progress, threads=1):
    """Time one training step of every cell and size, all variants in turn; a dict of medians for each.

    scratch, torch: seconds a step; ratio: scratch / torch, the median over rounds, with the smallest and the largest;
    unfolded: the ratio without looking ids up in the projected table; kept: the ratio when glibc keeps memory on both
    sides; floor: scratch / the matrix products alone.
    """
    found = []
    job = progress.add_task(f"a training step, {threads} thread{'s' * (threads > 1)}", total=len(sizes) * len(cells))
    sides = [("scratch", threads), ("torch", threads), ("scratch", threads, True), ("torch", threads, True)]
    with workers(*sides) as (by_hand, by_torch, by_hand_kept, by_torch_kept):
        for B, T, H in sizes:
            for cell in cells:
                variants = {
                    "scratch": (by_hand, "step"),
                    "torch": (by_torch, "step"),
                    "unfolded": (by_hand, "unfolded"),
                    "kept": (by_hand_kept, "step"),
                    "torch kept": (by_torch_kept, "step"),
                    "floor": (by_hand_kept, "floor"),
                }
                found.append({"B": B, "T": T, "H": H, "cell": cell} | rounds(variants, (cell, B, T, H), threads))
                progress.advance(job)
    return found


def cost_of_leaving_out(sizes, progress):
    """For every trick and size: the median of (a step of the LSTM without it) / (a step), minus 1."""
    found = []
    job = progress.add_task("a step without each trick", total=len(sizes))
    with workers(("scratch",), ("unkept",)) as (kept, unkept):
        for B, T, H in sizes:
            variants = {"step": (kept, "step"), "unfolded": (kept, "unfolded"), "unkept": (unkept, "step")}
            for trick in TRICKS:
                variants[trick.name] = (kept, f"{'unfolded' if trick is TRICKS[0] else 'step'} without {trick.name}")
            times = in_turn(variants, ("lstm", B, T, H))
            for name in variants:
                if name != "step":
                    base = "unfolded" if name == TRICKS[0].name else "step"
                    ratio = statistics.median(x / y for x, y in zip(times[name], times[base], strict=True))
                    found.append({"trick": name, "B": B, "T": T, "H": H, "cost": ratio - 1})
            progress.advance(job)
    return found


def rounds(variants, size, threads):
    """Time the variants in turn; the medians of what is of interest."""
    times = in_turn(variants, size, threads)

    def ratios(a, b):
        return [x / y for x, y in zip(times[a], times[b], strict=True)]

    ratio = ratios("scratch", "torch")
    return {
        "scratch": statistics.median(times["scratch"]),
        "torch": statistics.median(times["torch"]),
        "ratio": statistics.median(ratio),
        "ratio_spread": [min(ratio), max(ratio)],
        "unfolded": statistics.median(ratios("unfolded", "torch")),
        "kept": statistics.median(ratios("kept", "torch kept")),
        "floor": statistics.median(ratios("kept", "floor")),
    }


def in_turn(variants, size, threads=1):
    """Time the variants one after the other, a few rounds: name -> seconds a step, one figure a round."""
    times = {name: [] for name in variants}
    once = max(worker.ask("seconds", what, *size, 1) for worker, what in variants.values())
    repeats = max(1, round(0.06 / once))
    turn = once * repeats + (PAUSE if threads > 1 else 0)
    number = max(3, min(25, round(1.2 / (turn * len(variants)))))
    for _ in range(number):
        for name, (worker, what) in variants.items():
            if threads > 1:
                time.sleep(PAUSE)
            times[name].append(worker.ask("seconds", what, *size, repeats))
    return times


def layer_memory(T, progress, B=16, H=64):
    """What one layer's forward and backward add to the memory, in units of T*B*H floats."""
    found = []
    job = progress.add_task("memory of a layer", total=len(CELLS))
    for cell in CELLS:
        row = {"cell": cell, "T": T, "B": B, "H": H}
        for side in ("scratch", "torch"):
            used, _ = measure(side, "layer", cell, B, T, H)
            row[side] = None if used is None else used / (4 * T * B * H)
        found.append(row)
        progress.advance(job)
    return found


def by_length(lengths, progress, B=16, H=64, cell="lstm"):
    """Memory and time of long sequences: plain, checkpointed and torch."""
    kinds = (
        ("plain", "scratch", "sequence"),
        ("checkpointed", "scratch", "checkpointed"),
        ("torch", "torch", "sequence"),
    )
    found = []
    job = progress.add_task("long sequences", total=len(lengths) * len(kinds))
    for T in lengths:
        for name, side, what in kinds:
            used, elapsed = measure(side, what, cell, B, T, H)
            found.append({"kind": name, "cell": cell, "T": T, "B": B, "H": H, "bytes": used, "seconds": elapsed})
            progress.advance(job)
    return found


def measure(side, what, cell, B, T, H):
    """(bytes, seconds) in a process of its own, since one that had held more would reuse it unseen."""
    with workers((side,)) as (worker,):
        worker.ask("peak_memory", what, cell, B, 2, H)  # what is loaded at the first call is not the layer's
        return worker.ask("peak_memory", what, cell, B, T, H)


def processor():
    """Its name, where the system tells."""
    with contextlib.suppress(OSError):
        for line in open("/proc/cpuinfo", encoding="utf-8"):  # noqa: SIM115
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def versions():
    with workers(("scratch",), ("torch",)) as found:
        return [worker.ask("versions") for worker in found]


def show(figures):
    """The tables on the terminal."""
    print(f"{figures['processor']}, {figures['cores']} cores; " + "; ".join(figures["sides"]))
    for name, title in (("one_thread", "one thread each"), ("two_threads", "two threads each")):
        if figures[name]:
            rich.print(
                step_table(figures[name], f"one training step, {title}: scratch / torch, below 1 scratch is faster")
            )
    rich.print(memory_table(figures["memory"]))
    rich.print(length_table(figures["by_length"]))
    slower = [row for name in ("one_thread", "two_threads") for row in figures[name] if row["ratio"] > 1]
    sizes = [f"{row['cell']} at B={row['B']}, T={row['T']}, H={row['H']}" for row in slower]
    print("torch wins: " + (", ".join(dict.fromkeys(sizes)) if sizes else "nowhere here"))


def step_table(rows, title):
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = (
        "scratch, torch: milliseconds a step; ratio: the median of the rounds (smallest to largest). ids multiplied: "
        "without looking them up in the projected table. memory kept: glibc is told to keep freed memory, both sides. "
        "over floor: scratch / its matrix products alone."
    )
    table.add_column("B, T, I=H")
    table.add_column("cell")
    for name in ("scratch", "torch", "ratio", "ids multiplied", "memory kept", "over floor"):
        table.add_column(name, justify="right")
    for row in rows:
        low, high = row["ratio_spread"]
        table.add_row(
            f"{row['B']}, {row['T']}, {row['H']}",
            row["cell"],
            f"{1e3 * row['scratch']:.3g}",
            f"{1e3 * row['torch']:.3g}",
            f"[bold]{row['ratio']:.2f}[/bold] ({low:.2f} to {high:.2f})",
            f"{row['unfolded']:.2f}",
            f"{row['kept']:.2f}",
            f"{row['floor']:.2f}",
        )
    return table


def tricks_table(rows):
    table = Table(title="a step of the LSTM without ...: how much longer it takes", title_justify="left")
    table.add_column("B, T, I=H")
    sizes = list(dict.fromkeys((row["B"], row["T"], row["H"]) for row in rows))
    names = {"unfolded": "ids looked up in the projected table", "unkept": "keeping freed memory"}
    for B, T, H in sizes:
        table.add_column(f"{B}, {T}, {H}", justify="right")
    for trick in dict.fromkeys(row["trick"] for row in rows):
        costs = {(row["B"], row["T"], row["H"]): row["cost"] for row in rows if row["trick"] == trick}
        table.add_row(names.get(trick, trick), *(f"{100 * costs[size]:+.0f} %" for size in sizes))
    return table


def memory_table(rows):
    T, B, H = rows[0]["T"], rows[0]["B"], rows[0]["H"]
    table = Table(title=f"memory of a layer's forward and backward, T={T:,}, B={B}, H={H}", title_justify="left")
    table.add_column("in units of T*B*H floats")
    for row in rows:
        table.add_column(row["cell"], justify="right")
    for side in ("scratch", "torch"):
        table.add_row(side, *("?" if row[side] is None else f"{row[side]:.1f}" for row in rows))
    return table


def length_table(rows):
    title = (
        f"{rows[0]['cell']} on long sequences of ids, B={rows[0]['B']}, H={rows[0]['H']}: memory, and time of a step t"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("T", justify="right")
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    for kind in kinds:
        table.add_column(kind, justify="right")
    for T in dict.fromkeys(row["T"] for row in rows):
        cells = {row["kind"]: row for row in rows if row["T"] == T}
        table.add_row(
            f"{T:,}",
            *(
                ("?" if cells[kind]["bytes"] is None else f"{cells[kind]['bytes'] / 1e6:,.0f} MB")
                + f", {1e6 * cells[kind]['seconds'] / T:.0f} us"
                for kind in kinds
            ),
        )
    return table
