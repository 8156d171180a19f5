"""The command line: `byhand COMMAND`, or `python -m compare COMMAND` in a checkout."""

import argparse
import contextlib
import os
import sys
import traceback
import warnings
from importlib import import_module

from compare.options import STATUS
from data import TASKS, UserError
from data.errors import one_line, printable

# In the order of --help and of compare/README.md: name, the module that owns it, what it is for. Such a module has
# DESCRIPTION, add_arguments(parser) and run(options) -> exit status; it is imported when its command is called.
COMMANDS = (
    ("curves", "compare.curves.command", "train both models, plot both training curves and their gap"),
    ("predict", "compare.curves.predict", "ask both models of a run: the class of a name, how a text goes on"),
    ("gradients", "compare.gradients.command", "compare every gradient of one batch, by hand and by autograd"),
    ("check", "compare.learner.check", "is your own backward pass right, and if not, which line is wrong?"),
    ("exercise", "compare.learner.exercise", "exercises: write the backward passes yourself, from easy to hard"),
    ("traps", "compare.traps.command", "conventions that change a training curve: which does yours follow?"),
    ("page", "compare.page.command", "write a page: each cell next to its torch counterpart, with numbers"),
    ("bench", "compare.bench.command", "time a training step of both models, and measure its memory"),
)

DESCRIPTION = """\
Train the same network twice, by hand in NumPy and with autograd in torch, and
compare. Without a command: `curves` on the three real tasks."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaint is one line, and that takes no abbreviated options."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, allow_abbrev=False, **options)

    def error(self, message):
        complain(f"{message}; see {self.prog} --help")
        self.exit(2)


def parser(chosen):
    """The parser with the arguments of the command called `chosen`; the others are only listed."""
    listed = "\n".join(f"  {name:10} {purpose}" for name, _, purpose in COMMANDS)
    raw = argparse.RawDescriptionHelpFormatter
    top = Parser(prog="byhand", description=f"{DESCRIPTION}\n\ncommands:\n{listed}", epilog=STATUS, formatter_class=raw)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", help="byhand COMMAND --help shows its options")
    for name, module, _ in COMMANDS:
        command = commands.add_parser(name, formatter_class=raw)
        if name == chosen:
            owner = import_module(module)
            command.description = owner.DESCRIPTION
            owner.add_arguments(command)
            command.set_defaults(run=owner.run)
    return top


def main(arguments):
    """Run a command; return the exit status, see STATUS. Only 3, a bug of ours, comes with a traceback.

    130 and 141 are what a shell reports for a program that Ctrl-C, or a reader that has gone, ended.
    """
    if not arguments or arguments[0] in TASKS or (arguments[0][:1] == "-" and arguments[0] not in ("-h", "--help")):
        arguments = ["curves", *arguments]
    if sys.stdout is None:  # closed, as `>&-` does
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a character must not stop a run
    options = parser(arguments[0]).parse_args(arguments)
    options.arguments = arguments
    try:
        status = run_command(options)
        sys.stdout.flush()
        return status
    except UserError as error:
        complain(error)
    except MemoryError:
        complain("not enough memory; use a smaller --hidden, --layers, --batch-size or --window")
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does; nothing is wrong
        return 141
    except OSError as error:
        complain(f"{error.filename or 'standard output'}: {error.strerror}")
    except KeyboardInterrupt as stopped:
        with contextlib.suppress(OSError):
            print(printable(str(stopped)) or "stopped", file=sys.stderr)
        return 130
    except Exception:
        traceback.print_exc()
        return 3
    return 2


def run_command(options):
    """Run the chosen command; return its exit status."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # an overflow ends the run with a sentence of our own,
            warnings.simplefilter("ignore", UserWarning)  # and so does a device that torch only warns about
            return options.run(options)
    except SystemExit as stopped:  # how rich reports a broken pipe
        raise BrokenPipeError from stopped


def complain(message):
    with contextlib.suppress(OSError):  # where standard error has gone, the exit status still says it
        print("error:", one_line(message), file=sys.stderr)


def run():
    """The console script `byhand`."""
    status = main(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:  # Python must not fail on the rest when it ends, which would change the exit status
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


if __name__ == "__main__":
    sys.exit(run())
