"""Run the command line as ``python -m emgsim``."""

from emgsim.cli import console

if __name__ == "__main__":
    console()
