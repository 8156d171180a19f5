"""`byhand gradients`: every gradient of one batch, by hand and by autograd."""

from compare.options import LARGEST_BATCH, STATUS, add_data, add_model, configure, seed, whole
from data import TASKS, UserError

DESCRIPTION = """\
Compare every gradient of one batch of TASK, by hand and by autograd: those of
the parameters and of every intermediate. Without --cell: rnn, gru and lstm
(with --tape: lstm)."""


def add_arguments(parser):
    parser.epilog = STATUS
    parser.add_argument(
        "task", nargs="?", default="memory", metavar="TASK", help=f"{', '.join(TASKS)} (default memory)"
    )
    add_model(parser)
    batch = parser.add_argument_group("batch")
    batch.add_argument("--steps", type=whole, metavar="N", help="time steps; not for names (default 60)")
    batch.add_argument("--batch-size", type=whole, metavar="N", help="sequences (default per task, as for --hidden)")
    batch.add_argument("--dtype", choices=("float32", "float64"), default="float64", help="(default float64)")
    batch.add_argument("--seed", type=seed, metavar="N", help="random seed for weights and batch (default 0)")
    add_data(batch)
    output = parser.add_argument_group("output")
    output.add_argument("--out", metavar="DIR", default="results", help="folder for gradients.png (default results)")
    other = output.add_mutually_exclusive_group()
    other.add_argument("--json", action="store_true", help="print the table as JSON")
    other.add_argument(
        "--tape", action="store_true", help="show one step's autodiff tape next to the hand-written lines instead"
    )
    other.add_argument("--mistakes", action="store_true", help="show which ways of checking see which mistakes instead")


def run(options):
    if options.tape:
        from compare.gradients import tape_view

        tape_view.main(options.cell or "lstm", options.seed or 0)
        return 0
    if options.mistakes:
        from compare.mistakes import detectors

        return detectors.main()
    if options.steps and options.task == "names":
        raise UserError("--steps is not for names: each name is one sequence; drop it")
    window = options.steps or (60 if options.task != "names" else None)
    if (options.batch_size or 1) * (window or 1) > LARGEST_BATCH:
        raise UserError(f"a batch of more than {LARGEST_BATCH} steps; use a smaller --batch-size or --steps")
    names = ("cell", "layers", "hidden", "bidirectional", "batch_size", "dtype", "seed", "data", "column")
    given = {name: getattr(options, name) for name in names}
    (settings,) = configure([options.task], window=window, **given)
    from compare.gradients import table

    cells = [options.cell] if options.cell else ["rnn", "gru", "lstm"]
    return table.main(settings, cells, options.out, as_json=options.json)
