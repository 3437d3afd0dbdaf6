"""What the near fibres of healthy units do from discharge to discharge, in the usual examination.

Usage::

    python benchmarks/steady_units.py [--cache DIR] [--jobs N]

Prints how the units of eight healthy examinations of seven muscles (seeds 501 and 502, which no
examination of the library has) scatter, as the analysis measures them, and their table as
``benchmarks/axes.py --fit`` would print it. With the units of the biceps that the fit has, both
counted, they make the class ``steady`` of ``emgsim/catalogue/reference.toml``: an examination tells
smaller units, and other muscles have other ones. About 60 CPU s a muscle.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from axes import STABILITY_MEASURES, tables, together
from counterfactuals import found, of_muscle

from emgsim.analysis.axes import STEADY_SURE
from emgsim.analysis.mixtures import counted, is_sure

EXAMINED = (
    ("first_dorsal_interosseous", 501),
    ("first_dorsal_interosseous", 502),
    ("biceps_brachii", 501),
    ("deltoid", 501),
    ("tibialis_anterior", 501),
    ("extensor_digitorum", 501),
    ("vastus_lateralis", 501),
    ("abductor_pollicis_brevis", 501),
)


def main() -> None:
    """Print one row per examination, and all units together."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    if options.cache is not None:
        options.cache.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(options.jobs) as pool:
        each = list(pool.map(partial(jiggles, cache=options.cache), EXAMINED))
    for (muscle, seed), rows in zip(EXAMINED, each, strict=True):
        print(f"{muscle} {seed}: {told(rows)}")
    steady = {"steady": [row for rows in each for row in rows]}
    print("\n".join(tables("stability", steady, STABILITY_MEASURES)))
    print("\n".join(together(steady, STABILITY_MEASURES)))


def jiggles(task: tuple[str, int], cache: Path | None) -> list[dict[str, float]]:
    """Return the measures of each unit that is surely told apart."""
    muscle, seed = task
    parts = found((of_muscle(muscle, seed), muscle), cache)
    units = [u for u in counted([p.findings for p in parts]) if is_sure(u, STEADY_SURE)]
    return [
        {name: unit.measures[name] for name in STABILITY_MEASURES}
        for unit in units
        if all(np.isfinite(unit.measures.get(name, np.nan)) for name in STABILITY_MEASURES)
    ]


def told(rows: list[dict[str, float]]) -> str:
    """Return number, means and SD of the logarithms as words."""
    logs = {name: np.log([row[name] for row in rows]) for name in STABILITY_MEASURES}
    each = ", ".join(f"{name} {v.mean():.3f} SD {v.std(ddof=1):.3f}" for name, v in logs.items())
    return f"{len(rows)} units, {each}"


if __name__ == "__main__":
    main()
