"""The tables of `byhand bench`, of what compare.bench.timing measures."""

from rich.table import Table

from compare.bench.worker_process import LONG_B, LONG_CELL, LONG_H

KINDS = {"scratch": "scratch", "checkpointed": "scratch, checkpointed", "torch": "torch"}  # of long runs


def step_table(steps) -> Table:
    """One row per StepTime."""
    table = Table(title="One training step: below a ratio of 1, scratch is faster", title_justify="left")
    table.caption = """\
milliseconds, and the time of scratch divided by that of torch.nn: the median
(lowest to highest of the rounds); by that of a loop in torch, and of JAX where
it is installed (jit of lax.scan, without the time to compile): the median"""
    table.caption_justify = "left"
    table.add_column("B, T, I=H")
    table.add_column("cell")
    for name in ("scratch", "torch", "/ torch.nn", "/ loop", "/ JAX"):
        table.add_column(name, justify="right", no_wrap=True)
    for step in steps:
        ratio = f"[bold]{step.ratio:.2f}[/bold] ({step.lowest:.2f} to {step.highest:.2f})"
        times = (f"{1e3 * seconds:.3g}" for seconds in (step.scratch, step.torch))
        others = ("-" if other is None else f"{other:.2f}" for other in (step.loop, step.jax))
        table.add_row(f"{step.B}, {step.T}, {step.H}", step.cell, *times, ratio, *others)
    return table


def scan_table(scans) -> Table:
    """ScanTimes: one row per number of entries in a step, one column per number of steps."""
    table = Table(title="Linear recurrence: time of the loop / of the doubling scan", title_justify="left")
    table.add_column("B H", justify="right")
    for T in dict.fromkeys(scan.T for scan in scans):
        table.add_column(f"T = {T}", justify="right")
    for width in dict.fromkeys(scan.width for scan in scans):
        ratios = (scan.loop / scan.doubling for scan in scans if scan.width == width)
        table.add_row(f"{width:,}", *(f"{ratio:.1f}" for ratio in ratios))
    return table


def length_table(long_runs) -> Table:
    """LongRuns: one row per length, one column per kind."""
    table = Table(title=f"{LONG_CELL} on long sequences of ids, B={LONG_B}, H={LONG_H}", title_justify="left")
    table.caption, table.caption_justify = "memory; time per step t, forward and backward", "left"
    table.add_column("T", justify="right")
    for name in KINDS.values():
        table.add_column(name, justify="right")
    for T in dict.fromkeys(run.T for run in long_runs):
        runs = {run.kind: run for run in long_runs if run.T == T}
        table.add_row(f"{T:,}", *(f"{megabytes(runs[kind])}; {1e6 * runs[kind].seconds / T:.0f} us" for kind in KINDS))
    return table


def megabytes(run):
    return "?" if run.bytes is None else f"{run.bytes / 1e6:,.0f} MB"


def cost_table(costs) -> Table:
    """Costs: one row per optimization, one column per size."""
    table = Table(title="A step of the LSTM without ...: how much longer it takes", title_justify="left")
    table.add_column("without")
    sizes = list(dict.fromkeys((cost.B, cost.T, cost.H) for cost in costs))
    for B, T, H in sizes:
        table.add_column(f"B {B}\nT {T}\nH {H}", justify="right", no_wrap=True)
    for name in dict.fromkeys(cost.without for cost in costs):
        found = {(cost.B, cost.T, cost.H): cost.cost for cost in costs if cost.without == name}
        table.add_row(name, *(f"{100 * found[size]:+.0f} %" for size in sizes))
    return table
