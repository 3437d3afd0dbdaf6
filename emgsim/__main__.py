"""Run the command line as ``python -m emgsim``."""

from emgsim.cli import console

console()
