"""How seldom history alarms without a reason, how soon it sees a drift, what it costs.

    python benchmarks/history.py

Series of numbers, not runs: false alarms by distribution, the share of drifting series that are
seen after so many runs, the coverage of the slope's interval, and the CPU seconds of a year of
nights with 40 measurements. Exits with 1 if a goal is missed.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta

import numpy as np

from emgsim.regression.drift import chart, scores, threshold, trend
from emgsim.regression.history import histories, judged

N_SERIES, N_COVERAGE = 400, 1000
SAID_RUNS = 200.0  # between false alarms, for a study that ends
WATCHED = 10  # series, of which one drifts


def signal(values: np.ndarray, limit: float) -> int | None:
    """Return the index of the run at which a series alarms."""
    return chart(scores(values.tolist(), [0] * values.size), limit).signal


def false_alarms(rng: np.random.Generator) -> dict[str, float]:
    """Return the mean number of runs until an alarm, by the distribution of the values."""
    draws = {
        "normal": rng.standard_normal,
        "lognormal": lambda n: rng.lognormal(size=n),
        "uniform": rng.random,
        "Cauchy": rng.standard_cauchy,
        "counts (Poisson, mean 1)": lambda n: rng.poisson(1.0, n).astype(float),
    }
    limit, longest = threshold(SAID_RUNS), 1500
    found = {}
    for name, draw in draws.items():
        signals = [signal(np.asarray(draw(longest)), limit) for _ in range(N_SERIES)]
        found[name] = float(np.mean([longest if s is None else s + 1 for s in signals]))
    return found


def seen(rng: np.random.Generator, runs: int, shape: np.ndarray) -> float:
    """Return the share of series of so many runs in which a change is seen, of ten watched."""
    limit = threshold(1000.0 * WATCHED)
    return float(np.mean([
        signal(rng.standard_normal(runs) + shape, limit) is not None for _ in range(N_SERIES)
    ]))  # fmt: skip


def coverage(rng: np.random.Generator) -> float:
    """Return how often the interval of the slope holds the true one: 30 runs in two segments."""
    held = 0
    for _ in range(N_COVERAGE):
        days = np.sort(rng.uniform(0, 60, 30))
        alike = (days > 30).astype(int)
        line = trend(
            days.tolist(), (0.01 * days + 5 * alike + rng.standard_normal(30)).tolist(),
            alike.tolist(),
        )  # fmt: skip
        held += line is not None and line.low_per_day <= 0.01 <= line.high_per_day
    return held / N_COVERAGE


def year_cpu_s(rng: np.random.Generator) -> float:
    """Return the CPU seconds that a year of nights takes, 40 measurements each."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    records = [
        {
            "run_id": str(n), "started": (began + timedelta(days=n)).isoformat(),
            "scenario": {"id": "s"},
            "measurements": [
                {"id": f"m{k}", "unit": "1", "value": value, "verdict": "pass", "limit": {}}
                for k, value in enumerate(rng.standard_normal(40))
            ],
        }
        for n in range(365)
    ]  # fmt: skip
    before_s = time.process_time()
    judged(histories(records))
    return time.process_time() - before_s


def main() -> int:
    """Print each figure with its goal."""
    rng = np.random.default_rng(1)
    rows: list[tuple[str, float, str, bool]] = []
    least = SAID_RUNS * (1 - 3 / np.sqrt(N_SERIES))
    for name, n in false_alarms(rng).items():
        rows.append((f"runs to a false alarm, {name}", n, f">= {least:.0f} (200)", n >= least))
    for per_run, n in ((0.05, 65), (0.1, 45), (0.2, 35)):
        share = seen(rng, n, per_run * np.arange(n))
        name = f"seen: {per_run:g} SD a run, after {n} runs"
        rows.append((name, share, ">= 0.95", share >= 0.95))
    for size, at, n in ((1, 30, 365), (2, 30, 60), (5, 30, 60)):
        share = seen(rng, n, size * (np.arange(n) >= at))
        is_told = size == 1  # a small step is soon taken for how it is: told, no goal
        goal = "-" if is_told else ">= 0.95"
        rows.append((f"seen: a step of {size} SD at run {at}, after {n}", share, goal,
                     is_told or share >= 0.95))  # fmt: skip
    held = coverage(rng)
    rows.append(("slope in its 95 % interval", held, "0.93 .. 0.98", 0.93 <= held <= 0.98))
    cpu_s = year_cpu_s(rng)
    rows.append(("CPU s of a year, 40 series", cpu_s, "<= 10", cpu_s <= 10))
    for name, value, goal, is_met in rows:
        print(f"{name:<52} {value:>9.3f}  {goal:<14} {'' if is_met else 'MISSED'}".rstrip())
    return 0 if all(row[3] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
