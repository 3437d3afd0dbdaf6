"""What seven rules make of the duration of the same MUAPs: the table of docs/measures.md.

``python benchmarks/duration_rules.py``: mean and standard deviation of each rule over noise-free
MUAPs of the healthy biceps at a standard concentric needle, each at a clinical site: a unit of the
slighter third of the pool, the tip advanced along its track in the unit's territory, 15 mm from the
end plates, until the unit rises within 500 us with 100 uV or more.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice

import numpy as np

from emgsim.measures import DURATION_RULES, durations_ms
from emgsim.physiology.parameters import Seek, TipPosition
from emgsim.physiology.patient import Patient
from emgsim.physiology.seeking import seek_tip
from emgsim.scenario import load_scenario
from emgsim.seeds import stream
from emgsim.simulation import patient_of

SEED = 1
N_MUAPS = 100
NEEDLE_MM = 15.0  # from the centre of the end-plate band, along the fibres
INSIDE = 0.8  # of the territory's radius, in which the tip is moved
SLIGHT = 1 / 3  # of the pool is active at 5 % of maximal force
RULE = Seek(rise_us=500.0, amplitude_uv=100.0, step_mm=0.1)


def clinical_muaps_uv(patient: Patient) -> Iterator[np.ndarray]:
    """Yield the MUAPs of units that the needle has found, each of another unit or track."""
    pool, rng = patient.muscle.pool, stream(SEED, "duration rules")
    while True:
        order = int(rng.integers(int(SLIGHT * pool.n_units)))
        fibres = patient.fibres(order)
        area_mm2 = fibres.n_fibres / patient.muscle.fibres.density_per_mm2
        radius_mm = INSIDE * np.sqrt(area_mm2 / np.pi)
        aside_mm = radius_mm * rng.uniform(-1.0, 1.0)
        half_mm = np.sqrt(radius_mm**2 - aside_mm**2)
        tip = TipPosition(
            x_mm=fibres.x_mm.mean() + aside_mm,
            y_mm=fibres.y_mm.mean() + half_mm * rng.uniform(-1.0, 1.0),
            z_mm=NEEDLE_MM,
        )
        track_mm = float(tip.y_mm - fibres.y_mm.mean() + half_mm)
        if track_mm < RULE.step_mm:
            continue
        rule = RULE.model_copy(update={"track_mm": track_mm})
        if (found := seek_tip(patient, [order], tip, rule)) is not None:
            yield patient.voices(order, found)[0].muap_uv


def main() -> int:
    """Print the table."""
    patient = patient_of(load_scenario("healthy_biceps"), seed=SEED)
    rate_hz = patient.sampling.rate_hz
    found = [durations_ms(muap, rate_hz) for muap in islice(clinical_muaps_uv(patient), N_MUAPS)]
    print(f"{N_MUAPS} biceps MUAPs at clinical sites, seed {SEED}, {rate_hz / 1e3:g} kHz")
    print("rule           mean, ms   SD, ms")
    for rule in DURATION_RULES:
        of_rule = np.array([one[rule] for one in found])
        print(f"{rule:14s}{of_rule.mean():9.1f}{of_rule.std(ddof=1):9.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
