"""How loud muscles are on the skin, beside the published values that are typical."""

from __future__ import annotations

import numpy as np
import pytest

from emgsim.analysis.surface import band_passed, spectrum
from emgsim.physiology.fibres import place_unit
from emgsim.physiology.parameters import Muscle
from emgsim.physiology.parameters.surface import BellyTendon
from emgsim.physiology.pool import excitation_for, thresholds
from emgsim.physiology.skin import Skin
from emgsim.physiology.voices import Sampling
from emgsim.recording import Recording
from emgsim.scenario import muscle_catalogue, scenario_from
from emgsim.seeds import stream
from emgsim.simulation import simulate

N_UNITS = 24
SETTLED_S = 1.0  # of an effort: recruitment is over


def muscle_of(name: str) -> Muscle:
    """Return a muscle of the catalogue."""
    return Muscle.model_validate({"name": name, **muscle_catalogue()[name]})


def unit_sizes_uv(muscle: Muscle, orders: np.ndarray) -> np.ndarray:
    """Return peak to peak amplitudes of motor units between belly and tendon."""
    sampling = Sampling(rate_hz=4096.0, band_hz=1000.0)
    tendon_mm = 0.5 * muscle.fibres.length_mm + 10.0
    skin = Skin(BellyTendon(apart_mm=tendon_mm), muscle, muscle, 1.0)
    units = (place_unit(muscle, int(k), stream(1, "muscle", int(k))) for k in orders)
    return np.array([np.ptp(skin.heard(unit, sampling).uv) for unit in units])


def two_discs(muscle: str, phase: dict[str, object]) -> Recording:
    """Return what two discs on a muscle record of a phase."""
    table = {
        "schema": "emgsim.scenario/1",
        "id": "level",
        "title": "How loud a muscle is",
        "seed": 1,
        "muscle": {"name": muscle},
        "electrode": {"kind": "surface_bipolar", "apart_mm": 17.0},
        "phases": [phase],
    }
    return simulate(scenario_from(table, "test"))[0]


@pytest.mark.parametrize(
    "name",
    [
        "abductor_pollicis_brevis",
        "abductor_digiti_minimi",
        "biceps_brachii",
        "tibialis_anterior",
        "trapezius_upper",
    ],
)
def test_a_mean_motor_unit_makes_20_to_100_uv_on_the_skin(name: str) -> None:
    """E.6: so do the units of hand, arm, leg and neck (41-60 uV by MUSIX)."""
    muscle = muscle_of(name)
    orders = np.linspace(0, muscle.pool.n_units - 1, N_UNITS)
    assert 20.0 <= unit_sizes_uv(muscle, orders).mean() <= 100.0


def test_units_of_the_tibialis_anterior_grow_as_mcneil_found() -> None:
    """E.6: 26 uV for those of a slight effort, 69 uV for those recruited towards 40 %."""
    muscle = muscle_of("tibialis_anterior")
    recruited_at = thresholds(muscle.pool)
    slight, from_here, moderate = excitation_for(muscle.pool, np.array([0.1, 0.3, 0.4]))
    first = np.flatnonzero(recruited_at <= slight)[::4]
    later = np.flatnonzero((from_here < recruited_at) & (recruited_at <= moderate))
    assert unit_sizes_uv(muscle, first).mean() == pytest.approx(26.0, rel=0.25)
    assert unit_sizes_uv(muscle, later).mean() == pytest.approx(69.0, rel=0.25)


@pytest.mark.parametrize("name", ["biceps_brachii", "tibialis_anterior"])
def test_a_maximal_effort_is_as_loud_and_as_fast_as_usual(name: str) -> None:
    """E.6: 0.2-1 mV rms, and a median frequency of 60-120 Hz."""
    recording = two_discs(name, {"kind": "hold", "duration_s": 5.0, "level_mvc": 1.0})
    effort_uv = recording.samples_uv[round(SETTLED_S * recording.rate_hz) :, 0]
    band_uv = band_passed(effort_uv, recording.rate_hz)
    assert 200.0 <= np.std(band_uv) <= 1000.0
    assert 60.0 <= spectrum(band_uv, recording.rate_hz).median_hz.value <= 120.0


def test_rest_is_as_quiet_as_usual() -> None:
    """E.6: 1-3 uV rms, in the band of surface EMG."""
    recording = two_discs("biceps_brachii", {"kind": "rest", "duration_s": 4.0})
    assert 1.0 <= np.std(band_passed(recording.samples_uv[:, 0], recording.rate_hz)) <= 3.0
