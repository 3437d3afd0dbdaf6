"""Whether a look at the fixture tells every wrong state from every right one, and by what.

``python benchmarks/fixture_states.py [--rig virtual-metrology] [--seeds N]``. Over the wire the
fixture is brought into each state; what is found there is held against what every state declares.
Prints for each ordered pair (declared, actual) the features that do not fit, and exits with 1 if a
wrong state fits, or a right one does not.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import date

from emgsim.bench.rig import load_rig
from emgsim.bench.station import open_station
from emgsim.metrology.fixture import misfits
from emgsim.running.declaring import setup_of
from emgsim.running.fixture_check import CheckedFixture

Pair = tuple[str, str]


def pairs(rig_name: str, seed: int) -> dict[Pair, tuple[str, ...]]:
    """Return what does not fit, by the declared and the actual state."""
    rig, found = load_rig(rig_name), {}
    with open_station(rig, seed) as station:
        setup = setup_of(rig, station.source_caps, date.today())
        fixture = CheckedFixture(station, setup)
        quiet = str(fixture.quiet)
        fixture.into(quiet)
        before, reference = quiet, fixture.looks[quiet]
        for actual in setup.states:
            if setup.states[before].offset_mv:
                fixture.look(before := quiet)
            looked = fixture.look(actual)
            for declared in setup.states:
                found[declared, actual] = misfits(
                    looked, setup, declared, before=before, reference=reference
                )
            before = actual
    return found


def main() -> int:
    """Print the pairs, and tell whether all wrong ones are caught and no right one is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rig", default="virtual-metrology")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    missed: list[Pair] = []
    false: list[Pair] = []
    began_s = time.process_time()
    for seed in range(given.seeds):
        found = pairs(given.rig, seed)
        missed += [pair for pair, wrong in found.items() if pair[0] != pair[1] and not wrong]
        false += [pair for pair, wrong in found.items() if pair[0] == pair[1] and wrong]
    print(f"{'declared':<14} {'actual':<14} what does not fit")
    for (declared, actual), wrong in sorted(found.items()):
        if declared != actual:
            print(
                f"{declared:<14} {actual:<14} {', '.join(w.split()[0] for w in wrong) or 'NOTHING'}"
            )
    n = given.seeds * sum(declared != actual for declared, actual in found)
    print(f"wrong states caught: {n - len(missed)} of {n}, goal all; missed: {missed or 'none'}")
    print(f"right states refused: {len(false)}, goal 0; {false or 'none'}")
    print(f"{time.process_time() - began_s:.1f} CPU s, without the rig's")
    return 1 if missed or false else 0


if __name__ == "__main__":
    sys.exit(main())
