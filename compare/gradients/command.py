"""`byhand gradients`: every gradient of one batch, by hand and by autograd."""

from argparse import ArgumentParser, Namespace

from compare.options import DEFAULTS, STATUS, add_data, add_model, as_option, configure, folder, seed, whole
from data import READING, TASKS, UserError

DESCRIPTION = """\
Compare every gradient of one batch of TASK, by hand and by autograd: those of
the parameters and of every intermediate. Without --cell: rnn, gru and lstm
(with --tape: lstm)."""

# What describes the batch and its models, and what --tape and --mistakes accept of it.
OPTIONS = ("task", "cell", "layers", "hidden", "bidirectional", "window", "batch_size", "dtype", "seed", "data")
OPTIONS += (*READING, "out")
ACCEPTED = {"tape": ("cell", "seed"), "mistakes": ("cell",)}


def add_arguments(parser: ArgumentParser) -> None:
    parser.epilog = STATUS
    parser.add_argument("task", nargs="?", metavar="TASK", help=f"{', '.join(TASKS)} (default memory)")
    add_model(parser)
    batch = parser.add_argument_group("batch")
    batch.add_argument("--window", type=whole, metavar="N", help="time steps; not for names, digits (default 60)")
    batch.add_argument("--batch-size", type=whole, metavar="N", help="sequences (default per task, as for --hidden)")
    batch.add_argument("--dtype", choices=("float32", "float64"), help="(default float64)")
    batch.add_argument("--seed", type=seed, metavar="N", help="random seed for weights and batch (default 0)")
    add_data(batch)
    output = parser.add_argument_group("output")
    output.add_argument("--out", type=folder, metavar="DIR", help="folder for gradients.png (default results)")
    other = output.add_mutually_exclusive_group()
    other.add_argument(
        "--tape",
        action="store_true",
        help="show one step on an autodiff tape next to the hand-written lines instead (takes --cell, --seed)",
    )
    other.add_argument(
        "--mistakes",
        action="store_true",
        help="show which ways of checking see which mistakes instead (takes --cell: only that cell)",
    )


def run(options: Namespace) -> int:
    if options.tape:
        refuse_others(options, "tape")
        from compare.gradients import tape_view

        return tape_view.main(options.cell or "lstm", options.seed or 0)
    if options.mistakes:
        refuse_others(options, "mistakes")
        from compare.mistakes import table

        return table.main(options.cell)
    return compare_gradients(options)


def refuse_others(options: Namespace, mode: str) -> None:
    """Raise UserError when an option is given that `--mode` would ignore."""
    given = [name for name in OPTIONS if getattr(options, name) is not None and name not in ACCEPTED[mode]]
    if given:
        accepted = " and ".join(f"--{name}" for name in ACCEPTED[mode])
        drop = ", ".join(options.task if name == "task" else as_option(name) for name in given)
        raise UserError(f"--{mode} accepts only {accepted}; drop {drop}")


def compare_gradients(options: Namespace) -> int:
    """The table and the picture."""
    from compare.gradients import table

    task = options.task or "memory"
    window = options.window or (60 if task in DEFAULTS and DEFAULTS[task].window else None)
    names = ("cell", "layers", "hidden", "bidirectional", "batch_size", "seed", "data", *READING)
    given = {name: getattr(options, name) for name in names}
    cells = [options.cell] if options.cell else ["rnn", "gru", "lstm"]
    (settings,) = configure([task], window=window, dtype=options.dtype or "float64", **given)
    return table.main(settings, cells, options.out or "results")
