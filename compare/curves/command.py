"""`byhand curves`: the main job."""

import shlex
from dataclasses import fields, replace
from functools import partial

from compare.options import (
    OPTIMIZERS,
    REAL_TASKS,
    STATUS,
    Settings,
    add_data,
    add_model,
    add_out,
    as_option,
    configure,
    defaults,
    finite,
    folder,
    not_negative,
    rate,
    seed,
    share,
    whole,
)
from data import TASKS, UserError, check_task

seeds = partial(whole, most=1000)
DESCRIPTION = """\
Train both models on each TASK, from the same weights on the same batches, and
plot both training curves and their gap. Unset options default per task (see
below).

  byhand curves
  byhand curves names --cell gru --layers 2 --bidirectional
  byhand curves names --cell lstm.py
  byhand curves series --data prices.csv --column Close --out mine
  byhand curves names --seeds 5 --out five
  byhand curves --overlay results five --x seconds"""


def add_arguments(parser):
    parser.epilog = f"{defaults()}\n\n{STATUS}"
    parser.add_argument(
        "tasks",
        nargs="*",
        metavar="TASK",
        help=f"{', '.join(TASKS)} (default: {', '.join(REAL_TASKS)}; memory is the generated adding problem)",
    )
    add_model(parser, own_cells=True)
    add_training(parser.add_argument_group("training"))
    add_files(parser.add_argument_group("data and results"))
    add_several(parser.add_argument_group("several runs (overlay.png)"))


def add_training(group):
    group.add_argument(
        "--dropout",
        type=share,
        metavar="P",
        help="set embedded inputs and the linear layer's inputs to 0 with probability P",
    )
    group.add_argument(
        "--forget-bias", type=finite, metavar="X", help="add X to the first biases of the forget gates, with lstm"
    )
    group.add_argument("--optimizer", choices=OPTIMIZERS, help="as in torch.optim")
    group.add_argument("--lr", type=rate, metavar="X", help="learning rate")
    group.add_argument("--momentum", type=share, metavar="X", help="momentum for sgd and rmsprop, 0 <= X < 1")
    group.add_argument("--nesterov", action="store_true", default=None, help="Nesterov momentum, with sgd")
    group.add_argument(
        "--weight-decay", type=not_negative, metavar="X", help="L2 penalty; decoupled weight decay for adamw"
    )
    group.add_argument("--clip", type=not_negative, metavar="X", help="largest gradient norm; 0 for no clipping")
    length = group.add_mutually_exclusive_group()
    length.add_argument("--steps", type=whole, metavar="N", help="batches to train on")
    length.add_argument("--epochs", type=whole, metavar="N", help="passes over the training data, instead of --steps")
    group.add_argument("--batch-size", type=whole, metavar="N", help="sequences per batch")
    group.add_argument("--window", type=whole, metavar="N", help="time steps per batch; not for names, digits")
    group.add_argument("--dtype", choices=("float32", "float64"), help="(default float32)")
    group.add_argument("--seed", type=seed, metavar="N", help="seed of weights, batches and split (default 0)")
    group.add_argument("--device", metavar="NAME", help="where the torch model computes (default cpu)")


def add_files(group):
    add_data(group)
    group.add_argument(
        "--horizon", type=whole, metavar="N", help="after training on a series, also run ahead N steps (horizon.png)"
    )
    add_out(group, "the results")
    group.add_argument(
        "--checkpoint-every", type=whole, metavar="N", help="save the run every N steps (default: every 10 seconds)"
    )
    interrupted = group.add_mutually_exclusive_group()
    interrupted.add_argument("--resume", action="store_true", help="resume an interrupted run, if there is one")
    interrupted.add_argument("--restart", action="store_true", help="discard an interrupted run and start over")


def add_several(group):
    several = group.add_mutually_exclusive_group()
    several.add_argument("--seeds", type=seeds, metavar="N", help="repeat the run with N seeds: median and range")
    what = "train nothing: draw the finished runs in these folders"
    several.add_argument("--overlay", nargs="+", type=folder, metavar="DIR", help=what)
    group.add_argument("--x", choices=("steps", "seconds"), default="steps", help="what their curves are drawn over")


def run(options):
    if options.overlay:
        return overlay(options)
    given = vars(options)
    if options.torch_cell or (options.cell or "").endswith(".py"):
        from compare.curves import own_cell

        given = given | own_cell.named(options.cell, options.torch_cell)
    configurations = configure(**given)
    from compare.curves import training  # imports torch: only once the options are known to be good

    words = [word for word in options.arguments if word not in ("--resume", "--restart")]
    how = dict(every=options.checkpoint_every, resume=options.resume, restart=options.restart)
    how["again"] = shlex.join(["byhand", *words, "--resume"])
    if not options.seeds:
        return training.main(configurations, options.out, **how)
    first = options.seed or 0
    folders = {f"{options.out}/seed-{seed}": seed for seed in range(first, first + options.seeds)}
    status = [training.main([replace(one, seed=k) for one in configurations], out, **how) for out, k in folders.items()]
    draw(options, list(folders))
    return max(status)


def overlay(options):
    """Draw finished runs. Raises UserError for options of a training run."""
    given = vars(options).keys() & {field.name for field in fields(Settings)}
    for name in sorted(name for name in given if getattr(options, name) is not None):
        raise UserError(f"--overlay draws runs as they are, without {as_option(name)}; leave one of them out")
    for task in options.tasks:
        check_task(task)
    draw(options, options.overlay)
    return 0


def draw(options, folders):
    from compare import files
    from compare.curves import overlay

    runs = overlay.runs_in(folders, options.tasks)
    path = files.folder(options.out) / overlay.FILE
    overlay.draw(path, runs, options.x)
    print(f"{path}: {len(runs)} run{'s' * (len(runs) != 1)}")
