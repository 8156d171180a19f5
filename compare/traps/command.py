"""`byhand traps`: conventions in which two correct programs differ."""

from compare.options import add_out, defaults, whole
from data import TASKS, UserError

DESCRIPTION = """\
Train the scratch model with one convention changed at a time, next to the
reference run, and plot the gaps (about a minute). With TASK: that task's run
and every trap that applies to it. With --match: say which curve your own run
follows; a convention with a number, such as the clipping limit, is tried with
several usual values."""

EPILOG = """\
Your own run must start from the same weights and read the same batches as one
of these:
- a run of `curves`: give its history.csv, or put your file next to it; its
  checkpoint says how it was made;
- a task's defaults: name the TASK. The weights are in
  results/traps/TASK.safetensors, the batches in
  compare.model_pair.load(compare.traps.training.reference(TASK))
  .train_batches(epoch)"""
STATUS = "exit status: 0; with --match 1 if yours is not the reference run; 2 could not run (reason on stderr)"


def add_arguments(parser):
    parser.epilog = f"{EPILOG}\n\n{defaults()}\n\n{STATUS}"
    parser.add_argument(
        "task", nargs="?", choices=TASKS, metavar="TASK", help=f"{', '.join(TASKS)} (default: the three real ones)"
    )
    parser.add_argument(
        "--match", metavar="FILE.csv", help="CSV of your losses; add a `step` column if steps are missing"
    )
    parser.add_argument("--column", metavar="NAME", help="the column with the losses (default loss)")
    parser.add_argument("--steps", type=whole, metavar="N", help="steps to train and compare (default 60)")
    add_out(parser, "traps.png")


def run(options):
    if options.column and not options.match:
        raise UserError("--column names a column of the --match file; add --match FILE.csv, or drop --column")
    steps = {"steps": options.steps} if options.steps else {}
    if options.match:
        from compare.traps import match

        return match.main(options.match, options.task, options.column, **steps)
    from compare.traps import overview

    return overview.main(options.task, options.out, **steps)
