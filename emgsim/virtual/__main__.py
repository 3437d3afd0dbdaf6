"""Serve a virtual rig: ``python -m emgsim.virtual RIG.json --seed N``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from emgsim.errors import EmgsimError
from emgsim.virtual.server import read_rig, serve


def main(arguments: list[str] | None = None) -> int:
    """Read the rig file, serve it until the input ends, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m emgsim.virtual", description=__doc__)
    parser.add_argument("rig", type=Path, help="JSON file whose key 'virtual' holds the physics")
    parser.add_argument("--seed", type=_seed, required=True, help="seed of the plant's noise")
    options = parser.parse_args(arguments)
    try:
        asyncio.run(serve(read_rig(options.rig), options.seed))
    except EmgsimError as error:
        print("; ".join(line.strip() for line in str(error).splitlines()), file=sys.stderr)
        return error.exit_code
    return 0


def _seed(text: str) -> int:
    seed = int(text)
    if seed < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {seed}")
    return seed


if __name__ == "__main__":
    sys.exit(main())
