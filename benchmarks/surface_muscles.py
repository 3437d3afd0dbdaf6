"""How large surface EMG of whole muscles is, beside what is published.

    OPENBLAS_NUM_THREADS=1 python benchmarks/surface_muscles.py

First the largest value and the amplitude, peak to peak, of a motor unit between belly and tendon,
means of 48 units spread evenly over the pool (MUSIX: Cao 2020); then rms and median frequency of a
bipolar electrode from a fifth of the maximum up (rms of a maximal effort 200-1000 uV, median 60-120
Hz [M]). Every figure is of one seed.
"""

from __future__ import annotations

import numpy as np

from emgsim.analysis.surface import band_passed, spectrum
from emgsim.physiology.fibres import place_unit
from emgsim.physiology.parameters import Muscle
from emgsim.physiology.parameters.surface import BellyTendon
from emgsim.physiology.skin import Skin, crowding
from emgsim.physiology.voices import Sampling
from emgsim.scenario import muscle_catalogue, scenario_from
from emgsim.seeds import stream
from emgsim.simulation import simulate

MUSIX_UV = {
    "abductor_pollicis_brevis": 60.4,
    "abductor_digiti_minimi": 59.3,
    "biceps_brachii": 43.8,
    "tibialis_anterior": 41.3,
    "trapezius_upper": 49.1,
}
LEVELS_MVC = (0.2, 0.5, 1.0)
N_UNITS = 48


def main() -> None:
    """Print both tables."""
    print(f"{'belly and tendon':26s} fibres each  mean peak  peak to peak  MUSIX")
    for name, published_uv in MUSIX_UV.items():
        muscle = Muscle.model_validate({"name": name, **muscle_catalogue()[name]})
        peak_uv, both_uv = mean_sizes_uv(muscle)
        print(
            f"{name:26s} {crowding(muscle):11.1f} {peak_uv:7.1f} uV {both_uv:10.1f} uV "
            f"{published_uv:6.1f} uV"
        )
    print(f"\n{'two discs':26s}" + "".join(f"{100 * level:9.0f} % MVC" for level in LEVELS_MVC))
    for name in ("biceps_brachii", "tibialis_anterior"):
        cells = []
        for level in LEVELS_MVC:
            rms_uv, median_hz = contraction(name, level)
            cells.append(f"{rms_uv:6.0f} uV {median_hz:3.0f} Hz")
        print(f"{name:26s}" + " ".join(cells))


def mean_sizes_uv(muscle: Muscle) -> tuple[float, float]:
    """Return the means of the units' largest value and of peak to peak."""
    sampling = Sampling(rate_hz=4096.0, band_hz=1000.0)
    apart_mm = 0.5 * muscle.fibres.length_mm + 10.0
    skin = Skin(BellyTendon(apart_mm=apart_mm), muscle, muscle, 1.0)
    orders = np.linspace(0, muscle.pool.n_units - 1, N_UNITS).astype(int)
    units = (place_unit(muscle, int(k), stream(1, "muscle", int(k))) for k in orders)
    waves = [skin.heard(unit, sampling).uv for unit in units]
    peaks_uv, both_uv = zip(*((np.abs(uv).max(), np.ptp(uv)) for uv in waves), strict=True)
    return float(np.mean(peaks_uv)), float(np.mean(both_uv))


def contraction(name: str, level_mvc: float) -> tuple[float, float]:
    """Return rms and median frequency of four seconds at a level."""
    table = {
        "schema": "emgsim.scenario/1",
        "id": "effort",
        "title": "An effort",
        "seed": 1,
        "muscle": {"name": name},
        "electrode": {"kind": "surface_bipolar", "apart_mm": 17.0},
        "phases": [{"kind": "hold", "duration_s": 5.0, "level_mvc": level_mvc}],
    }
    recording, _ = simulate(scenario_from(table, "benchmark"))
    band_uv = band_passed(recording.samples_uv[2048:, 0], recording.rate_hz)
    return float(np.std(band_uv)), spectrum(band_uv, recording.rate_hz).median_hz.value


if __name__ == "__main__":
    main()
