"""The perfect observer: he finds what stands out of the truth, place by place, and nothing else."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from emgsim.analysis.plan import Stretch
from emgsim.observer import observe
from emgsim.recording import (
    Channel,
    Event,
    Findings,
    MotorUnit,
    Recording,
    SpontaneousSource,
    Stay,
    Truth,
)
from emgsim.stages import add_train

Floats = NDArray[np.float64]
RATE_HZ = 24_000.0
LENGTH_S = 20.0
STRETCHES = (("insertion 1", 0.3, 0.9), ("rest 1", 0.9, 2.9), ("slight 1", 3.2, 9.0),
             ("slight 2", 9.6, 16.0), ("strong 2", 16.0, 18.0))  # fmt: skip
EFFORTS_S = ((4.0, 9.0), (10.5, 16.0), (16.0, 18.0))


def wave(size_uv: float) -> Floats:
    """Return a triphasic potential of a peak-to-peak size, shape (480, 1); its peak is at 5 ms."""
    t_ms = np.arange(480) / RATE_HZ * 1e3 - 5.0
    shape = (1 - (t_ms / 0.4) ** 2) * np.exp(-((t_ms / 0.4) ** 2) / 2)
    return np.asarray(-size_uv * (shape / np.ptp(shape))[:, None])


def motor_unit(size_uv: float, times_s: Floats, id: int = 1) -> MotorUnit:
    """Return a unit whose spike stands 5 ms after the discharge."""
    return MotorUnit(id=id, muscle="biceps", threshold=0.01, n_fibres=100,
                     discharge_times_s=times_s, muap_uv=wave(size_uv), muap_start_s=0.0,
                     arrival_s=0.005)  # fmt: skip


def source(kind: str, size_uv: float, times_s: Floats, name: str = "one") -> SpontaneousSource:
    """Return a source at rest."""
    return SpontaneousSource(name=name, kind=kind, discharge_times_s=times_s,
                             gains=np.ones(times_s.size), potential_uv=wave(size_uv),
                             potential_start_s=0.0)  # fmt: skip


def regular(first_s: float, last_s: float, rate_hz: float, seed: int = 1) -> Floats:
    """Return the times of a unit with the scatter of a will."""
    rng = np.random.default_rng(seed)
    steps_s = rng.normal(1 / rate_hz, 0.12 / rate_hz, round((last_s - first_s) * rate_hz))
    times_s = first_s + np.cumsum(steps_s)
    return np.asarray(times_s[times_s < last_s])


def scene(
    *spontaneous: SpontaneousSource, sizes_uv: tuple[float, float] = (400.0, 800.0)
) -> tuple[Recording, Truth]:
    """Return a recording of two places at which one unit has two sizes, over a small one."""
    times_s = np.concatenate([regular(a, b, 9.0) for a, b in EFFORTS_S])
    small_s = np.concatenate([regular(a, b, 11.0, seed=2) for a, b in EFFORTS_S])
    spans_s = ((0.3, 2.9), (3.2, 9.3), (9.6, LENGTH_S))
    stays = []
    samples = np.zeros(round(LENGTH_S * RATE_HZ))
    for (onset_s, offset_s), size_uv in zip(spans_s, (sizes_uv[0], *sizes_uv), strict=True):
        units = (motor_unit(size_uv, times_s).between(onset_s, offset_s),
                 motor_unit(20.0, small_s, id=2).between(onset_s, offset_s))  # fmt: skip
        stays.append(Stay(onset_s=onset_s, offset_s=offset_s, units=units))
        for unit in units:
            add_train(samples, RATE_HZ, 0.0, unit)
    events = [Event(kind="contraction", onset_s=a, offset_s=b) for a, b in EFFORTS_S]
    events += [Event(kind="rest", onset_s=0.0, offset_s=4.0),
               Event(kind="rest", onset_s=9.0, offset_s=10.5)]  # fmt: skip
    truth = Truth(units=stays[-1].units, muap_rate_hz=RATE_HZ, events=tuple(events),
                  spontaneous=spontaneous, stays=tuple(stays))  # fmt: skip
    rng = np.random.default_rng(7)
    samples += rng.normal(0.0, 0.5, samples.size)
    recording = Recording(samples_uv=samples[:, None], rate_hz=RATE_HZ,
                          channels=(Channel(name="needle"),))  # fmt: skip
    return recording, truth


def stretches() -> tuple[Stretch, ...]:
    """Return what was done in a scene."""
    kinds: dict[str, Literal["insertion", "rest", "slight", "strong"]] = {
        "insertion": "insertion", "rest": "rest", "slight": "slight", "strong": "strong",
    }  # fmt: skip
    return tuple(
        Stretch(name=name, kind=kinds[name.split()[0]], onset_s=a, offset_s=b)
        for name, a, b in STRETCHES
    )


def value(findings: Findings, id: str) -> float:
    """Return the only row of a measure."""
    [row] = [row for row in findings.measures if row["id"] == id]
    return float(row["value"])


def test_a_unit_has_the_size_of_the_place_where_it_is_heard() -> None:
    """One motor unit at two places is two units, each with its own MUAP, the small one none."""
    recording, truth = scene()
    found = observe(recording, truth, stretches())
    assert [unit.id for unit in found.units] == [1, 2]
    sizes_uv = [unit.measures["amplitude_uv"] for unit in found.units]
    assert sizes_uv == pytest.approx([400.0, 800.0], rel=0.05)
    assert all(3.2 < t < 9.0 for t in found.units[0].discharge_times_s)
    assert all(9.6 < t < 16.0 for t in found.units[1].discharge_times_s)


def test_a_unit_is_measured_as_the_analysis_measures() -> None:
    """Rate, duration, phases and jiggle are there under the analysis' names."""
    recording, truth = scene()
    measures = observe(recording, truth, stretches()).units[0].measures
    assert measures["rate_hz"] == pytest.approx(9.0, rel=0.05)
    for name in ("duration_ms", "phases", "rise_time_us", "size_index", "jiggle_ccc"):
        assert np.isfinite(measures[name]), name


def test_activity_at_rest_is_named_as_what_it_is() -> None:
    """A lasting train is graded 1+, one of a moment +/-, both with probability one."""
    long = source("fibrillation", 100.0, np.arange(1.0, 2.8, 0.1), "long")
    short = source("positive_sharp_wave", 100.0, np.array([1.5, 1.6, 1.7]), "short")
    found = observe(*scene(long, short), stretches()[:2])
    assert [(run.kind, run.grade) for run in found.runs] == [
        ("fibrillation", 1.0), ("positive_sharp_wave", 0.5)]  # fmt: skip
    assert found.runs[0].discharge_times_s == pytest.approx(np.arange(1.0, 2.8, 0.1))


def test_what_is_too_small_is_not_heard() -> None:
    """A distant fibre of 14 uV is there and nobody hears it; one of 16 uV is heard."""
    times_s = np.arange(1.0, 2.8, 0.1)
    small, large = (source("fibrillation", uv, times_s, f"{uv}") for uv in (14.0, 16.0))
    assert observe(*scene(small), stretches()[:2]).runs == ()
    assert len(observe(*scene(large), stretches()[:2]).runs) == 1


def test_activity_in_effort_and_between_the_stretches_is_not_heard() -> None:
    """Only what discharges in a rest that is listened to is a run."""
    during = source("fibrillation", 100.0, np.arange(5.0, 8.0, 0.1))
    between = source("fibrillation", 100.0, np.array([2.95, 3.05, 3.15]), "between")
    assert observe(*scene(during, between), stretches()).runs == ()


def test_insertional_activity_lasts_until_the_first_silence() -> None:
    """A burst again after 0.2 s counts no more, and a fibrillation is no answer to the needle."""
    burst = source("insertional_burst", 80.0, np.array([0.31, 0.35, 0.42, 0.50, 0.75]))
    fibre = source("fibrillation", 80.0, np.arange(0.3, 2.8, 0.05), "fibre")
    found = observe(*scene(burst, fibre), stretches()[:2])
    assert value(found, "insertion.length_s") == pytest.approx(0.20)
    assert value(observe(*scene(fibre), stretches()[:2]), "insertion.length_s") == 0.0


def test_rows_have_the_times_of_their_stretch() -> None:
    """The strong effort's pattern can be told from that of a slight one."""
    recording, truth = scene()
    found = observe(recording, truth, stretches())
    strong = found.within(16.0, 18.0)
    assert "interference.turns_per_s" in {row["id"] for row in strong.measures}
    assert {(row["onset_s"], row["offset_s"]) for row in strong.measures} == {(16.0, 18.0)}
    assert strong.units == ()


def test_the_needle_must_rest_in_a_stretch() -> None:
    """A plan of another examination is refused."""
    moving = Stretch(name="rest 1", kind="rest", onset_s=2.0, offset_s=4.0)
    with pytest.raises(ValueError, match="the needle must rest"):
        observe(*scene(), [moving])
