"""`byhand page`: one HTML file with everything a step computes."""

from argparse import ArgumentParser, Namespace

from compare.options import add_out

DESCRIPTION = """\
Write one HTML file that shows each hand-written cell next to its torch
counterpart, line by line, with the equations between them and the numbers of
every step. On it you can plant a mistake, change a number, split a gradient
and see how each number is computed. It needs no network."""


def add_arguments(parser: ArgumentParser) -> None:
    parser.epilog = "exit status: 0; 2 could not run (reason on stderr)"
    add_out(parser, "page.html")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


def run(options: Namespace) -> int:
    from compare.page import build

    return build.main(options.out, open_it=options.open)
