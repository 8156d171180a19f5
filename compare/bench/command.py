"""`byhand bench`: time and memory of both models."""

from compare.options import add_out

DESCRIPTION = """\
Time a training step of every cell at five sizes, both models in turn, a loop
in torch and, where it is installed, JAX; and measure the memory of long
sequences. Takes 100 seconds; keep the machine idle meanwhile."""


def add_arguments(parser):
    parser.epilog = "exit status: 0; 2 could not run (reason on stderr)"
    parser.add_argument("--quick", action="store_true", help="two sizes and short sequences: 25 seconds")
    parser.add_argument(
        "--tricks", action="store_true", help="time a step without each of the optimizations, and a scan, instead"
    )
    add_out(parser, "bench.png")


def run(options):
    from compare.bench import timing

    return timing.main(options.out, quick=options.quick, tricks=options.tricks)
