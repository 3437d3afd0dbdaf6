"""The input stage and what passes between channels: rejection, impedance, current, crosstalk."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from emgsim.metrology import crosstalk, impedance, inputs, rejection
from emgsim.metrology.acquisition import Acquired, placed
from emgsim.metrology.procedure import Measuring
from emgsim.metrology.reading import Reading
from emgsim.metrology.setup import Known, State
from emgsim.metrology.stimulus import Stimulus

GROUND_OHM, GROUND_F = 1e9, 20e-12  # of each input against ground


def common(name: str, **more: Any) -> State:
    """Return a state that drives both inputs together."""
    return State(
        name=name,
        differential=0.0,
        common=0.28,
        load_factor=0.995,
        transfer=Known(certificate="common-1", expanded=(5e-3,)),
        null_db=-140.0,
        largest_uv=2.9e6,
        **more,
    )


COMMON = (common("node_drive"), common("imbalance", series_ohm=10_000.0, series_nf=47.0))


@pytest.fixture
def stage(synthetic: Any, declared: Any) -> Callable[..., Any]:
    """Make a bench whose amplifier has an input stage: ``stage(cmrr_db=90.0)``."""

    @dataclass
    class InputStage(synthetic):  # type: ignore[misc]
        """The amplifier of the synthetic bench, with inputs that draw and leak."""

        cmrr_db: float = 100.0
        null: float = 0.0
        input_ohm: float = 500e6
        input_f: float = 20e-12
        bias_na: float = 0.0
        leak: float = 0.0
        late_s: float = 0.0
        now: State | None = None

        def heard_uv(self, stimulus: Stimulus) -> Any:
            state = self.setup.states[stimulus.state]
            f = np.fft.rfftfreq(stimulus.uv.size, 1 / stimulus.rate_hz)
            if state.is_common:
                factor = 10 ** (-self.cmrr_db / 20) + self.null + self.converted(state, f)
                return np.fft.irfft(factor * np.fft.rfft(stimulus.uv), stimulus.uv.size)
            own = impedance_at(f, self.input_ohm, self.input_f)
            own = own / (own + impedance_at(f, state.series_ohm, state.series_nf * 1e-9))
            uv = super().heard_uv(stimulus)
            return np.fft.irfft(own * np.fft.rfft(uv), uv.size)

        def converted(self, state: State, f: Any) -> Any:
            lead = impedance_at(f, state.series_ohm, state.series_nf * 1e-9)
            return lead / (lead + impedance_at(f, GROUND_OHM, GROUND_F))

        def level_uv(self, state: State) -> float:
            """Return the direct voltage at the inputs."""
            ohm = 1 / (1 / max(state.series_ohm, 1e-9) + 1 / self.input_ohm)
            return float(1e3 * (self.bias_na * 1e-6 * ohm + state.offset_mv))

        def play(self, stimulus: Stimulus) -> Acquired:
            self.now = self.setup.states[stimulus.state]
            return super().play(stimulus)

        def listen(self, state: str, duration_s: float) -> Acquired:
            self.now = self.setup.states[state]
            return super().listen(state, duration_s)

        def change(self, states: Sequence[str], dwell_s: float) -> Acquired:
            self.now, device = None, self.setup.device
            n = round(len(states) * dwell_s * device.rate_hz)
            levels = [self.gain * self.level_uv(self.setup.states[name]) for name in states]
            uv, t = self._noise(n), np.arange(n) / device.rate_hz + self.rng.uniform(0, 2e-5)
            w = 2 * np.pi * (self.corners_hz or device.band_hz)[0]
            shown = np.full(n, levels[0] if not device.highpass_order else 0.0)
            for k, rise in enumerate(np.diff(levels), start=1):
                s = np.maximum(t - k * dwell_s, 0)
                a = w * s / math.sqrt(2)
                shapes = (1.0, np.exp(-w * s), np.exp(-a) * (np.cos(a) - np.sin(a)))
                shown += rise * (t >= k * dwell_s) * shapes[device.highpass_order]
            changed_s = tuple(k * dwell_s + self.late_s for k in range(1, len(states)))
            said = self._converted(uv + shown[:, None])
            return placed(None, states[-1], said, device.rate_hz, changed_s)

        def _converted(self, uv: Any) -> Any:
            if self.now is not None and not self.setup.device.highpass_order:
                uv = uv + self.gain * self.level_uv(self.now)
            mixed = uv.copy()
            mixed[:, 1:] += self.leak * uv[:, :-1]
            mixed[:, :-1] += self.leak * uv[:, 1:]
            return super()._converted(mixed)

    def make(device: dict[str, Any] | None = None, **what: Any) -> Any:
        setup = declared(**(device or {}))
        states = setup.states | {state.name: state for state in COMMON}
        return InputStage(setup=replace(setup, states=states), **what)

    return make


def impedance_at(f: Any, ohm: float, farad: float) -> Any:
    """Return the impedance of R parallel to C."""
    return ohm / (1 + 2j * np.pi * f * ohm * farad)


def measured(measure: Any, bench: Any) -> dict[str, Reading]:
    """Return the readings of a test by their ids."""
    return {reading.id: reading for reading in measure(Measuring(bench))}


def is_told(reading: Reading, true: float) -> bool:
    """Tell whether a reading knows: off by no more than three standard uncertainties."""
    return abs(reading.value - true) <= 3 * reading.standard


@pytest.mark.parametrize("cmrr_db", [70.0, 95.0, 118.0])
def test_rejection_is_referred_to_the_input_at_each_frequency(stage: Any, cmrr_db: float) -> None:
    """Behind a high-pass at 40 Hz 50 Hz is small in both, and the rejection is what it is."""
    bench = stage({"band_hz": (40.0, 5000.0)}, cmrr_db=cmrr_db, gain=-1.06, device_ppm=180.0)
    readings = measured(rejection.PROCEDURES[0].measure, bench)
    assert list(readings) == [f"cmrr.balanced.{name}" for name in ("50hz", "60hz", "1khz")]
    for reading in readings.values():
        assert is_told(reading, cmrr_db)
        assert reading.expanded < 0.8
        assert reading.rests_on == ("common-1", "divider-1")


def test_an_impedance_in_one_lead_costs_rejection(stage: Any) -> None:
    """What it converts adds to what the amplifier lets through, in size and phase."""
    bench = stage(cmrr_db=100.0)
    readings = measured(rejection.PROCEDURES[1].measure, bench)
    for name, f in (("50hz", 50.0), ("60hz", 60.0)):
        through = 1e-5 + bench.converted(COMMON[1], np.array([f]))[0]
        assert is_told(readings[f"cmrr.imbalance.{name}"], -20 * math.log10(abs(through)))


def test_a_rejection_beyond_the_fixtures_is_a_bound(stage: Any) -> None:
    """Of a device at 150 dB on a fixture at 140 dB nobody can say more than that it is better."""
    for reading in measured(rejection.PROCEDURES[0].measure, stage(cmrr_db=150.0)).values():
        assert reading.bound == ">="
        assert 120 < reading.value < 150
        assert reading.note.startswith(">=")


def test_steps_of_a_coarse_converter_are_counted(stage: Any) -> None:
    """At 40 uV a code and 1 uV of noise a microvolt cannot be told, and is not claimed to be."""
    device = {"bits": 9, "range_uv": 10_000.0}
    for reading in measured(rejection.PROCEDURES[0].measure, stage(device, cmrr_db=118.0)).values():
        assert reading.bound == ">="
        assert reading.value < 118


@pytest.mark.parametrize(("mohm", "pf"), [(60.0, 90.0), (400.0, 20.0), (1500.0, 5.0)])
def test_the_input_is_a_resistance_and_a_capacitance(stage: Any, mohm: float, pf: float) -> None:
    """Each known to what the noise leaves and the series impedance is certified to."""
    bench = stage(input_ohm=1e6 * mohm, input_f=1e-12 * pf, gain=0.94, device_ppm=-120.0)
    readings = measured(impedance.PROCEDURES[0].measure, bench)
    assert is_told(readings["zin.resistance"], mohm)
    assert is_told(readings["zin.capacitance"], pf)
    assert readings["zin.resistance"].expanded < 0.25 * mohm
    assert readings["zin.capacitance"].expanded < 1.0


def test_what_an_uncertain_divider_hides_is_a_bound(stage: Any) -> None:
    """Two calibrations of 0.05 % leave open whether 0.03 % went into 2000 megohms."""
    bench = stage(input_ohm=2e9)
    other = Known(certificate="divider-2", expanded=(5e-4,))
    series = replace(bench.setup.states["series_z"], transfer=other)
    bench.setup = replace(bench.setup, states=bench.setup.states | {"series_z": series})
    reading = measured(impedance.PROCEDURES[0].measure, bench)["zin.resistance"]
    assert reading.bound == ">="
    assert 500 < reading.value < 2000


def test_the_input_current_is_taken_out_of_the_impedance(stage: Any) -> None:
    """15 nA through 620 kohm would put a DC-coupled device of 8 mV to its rail."""
    device = {"band_hz": (0.0, 8000.0), "orders": (0, 4), "range_uv": 8_000.0}
    bench = stage(device, bias_na=15.0, input_ohm=150e6, second_order=5e-3)
    readings = measured(impedance.PROCEDURES[0].measure, bench)
    assert is_told(readings["zin.resistance"], 150.0)
    assert "source" in " ".join(c.name for c in readings["zin.resistance"].components)


def test_an_impedance_behind_a_rail_is_not_measured(stage: Any) -> None:
    """Without the state in which the current is measured nothing can be taken out."""
    device = {"band_hz": (0.0, 8000.0), "orders": (0, 4), "range_uv": 8_000.0}
    bench = stage(device, bias_na=15.0)
    states = {k: v for k, v in bench.setup.states.items() if k != "shorted_1m"}
    bench.setup = replace(bench.setup, states=states)
    for reading in measured(impedance.PROCEDURES[0].measure, bench).values():
        assert math.isnan(reading.value)
        assert "series impedance" in reading.note


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("bias_na", [0.4, -9.0])
def test_the_input_current_is_the_step_over_the_resistance(
    stage: Any, order: int, bias_na: float
) -> None:
    """Coupled down to DC or not, its corner 8 % off, told 5 ms late, upside down."""
    low_hz = 20.0 if order else 0.0
    device = {"band_hz": (low_hz, 8000.0), "orders": (order, 4)}
    bench = stage(
        device, bias_na=bias_na, gain=-0.95, late_s=0.005, corners_hz=(1.08 * low_hz, 8000.0)
    )
    reading = measured(inputs.PROCEDURES[0].measure, bench)["input.current"]
    assert is_told(reading, abs(bias_na))
    assert reading.expanded < 0.05
    assert ("shorted_1m" in reading.conditions) == (abs(bias_na) < 1)


def test_no_input_current_is_said_to_be_none(stage: Any) -> None:
    """A picoampere drowns, and the note says so."""
    reading = measured(inputs.PROCEDURES[0].measure, stage(bias_na=0.0))["input.current"]
    assert reading.note == "not told from none"
    assert reading.value <= 3 * reading.standard < 0.01


def test_a_high_pass_takes_an_offset_and_a_rail_does_not(stage: Any) -> None:
    """Gain and noise stay behind a high-pass; without one the gain is lost and no noise is seen."""
    bench = stage({"orders": (2, 4)})
    readings = measured(inputs.PROCEDURES[1].measure, bench)
    readings |= measured(inputs.PROCEDURES[2].measure, bench)
    assert len(readings) == 4
    for reading in readings.values():
        assert is_told(reading, 0.0)
        assert reading.expanded < 2.5
    bench = stage({"band_hz": (0.0, 8000.0), "orders": (0, 4)})
    for reading in measured(inputs.PROCEDURES[1].measure, bench).values():
        assert is_told(reading, -100.0)
        assert "rail" in reading.note
    for reading in measured(inputs.PROCEDURES[2].measure, bench).values():
        assert math.isnan(reading.value)


@pytest.mark.parametrize("leak_db", [-52.0, -85.0])
def test_crosstalk_is_what_a_neighbour_says_over_what_is_played(stage: Any, leak_db: float) -> None:
    """Bent and unequal channels change nothing of it."""
    bench = stage(
        {"channels": 3},
        leak=10 ** (leak_db / 20),
        channel_gains=(1.0, 0.97, 1.04),
        third_order=5e-3,
        skews_us=(0.0, 8.0, 20.0),
    )
    reading = measured(crosstalk.PROCEDURES[0].measure, bench)["crosstalk"]
    assert is_told(reading, leak_db)
    assert reading.expanded < 1.5
    level_db = reading.curves["level_db"]
    apart = np.abs(reading.curves["driven_channel"] - reading.curves["listening_channel"])
    assert level_db.size == 3 * 2 * 3
    assert level_db[apart == 1].min() > level_db[apart == 2].max() + 5


def test_silence_between_channels_is_a_bound(stage: Any) -> None:
    """Nothing is heard: at most so much."""
    reading = measured(crosstalk.PROCEDURES[0].measure, stage({"channels": 2}))["crosstalk"]
    assert reading.bound == "<="
    assert reading.value < -95


def test_one_channel_has_no_crosstalk(stage: Any) -> None:
    """It is no value, and says why."""
    reading = measured(crosstalk.PROCEDURES[0].measure, stage())["crosstalk"]
    assert math.isnan(reading.value)
    assert "one channel" in reading.note


@pytest.mark.slow
def test_the_uncertainties_are_neither_too_small_nor_too_large(stage: Any) -> None:
    """Over 20 devices the errors of impedance and crosstalk are as large as they are said to be."""
    errors: dict[str, list[float]] = {}
    for seed in range(20):
        device = {"channels": 2, "rate_hz": 12_000.0, "band_hz": (8.0, 2500.0)}
        bench = stage(device, seed=seed, input_ohm=700e6, input_f=3e-11, leak=1e-4, noise_uv=2.0)
        readings = measured(impedance.PROCEDURES[0].measure, bench)
        readings |= measured(crosstalk.PROCEDURES[0].measure, bench)
        for id, true in (("zin.resistance", 700.0), ("zin.capacitance", 30.0), ("crosstalk", -80)):
            by_noise = next(c.standard for c in readings[id].components if c.name == "noise")
            errors.setdefault(id, []).append((readings[id].value - true) / by_noise)
    for id, each in errors.items():
        assert 0.68 < math.sqrt(np.mean(np.square(each))) < 1.32, id  # 2 sd of an rms of 20
