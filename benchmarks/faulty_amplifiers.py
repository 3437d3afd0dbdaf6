"""Amplifiers and fixtures with one fault each, 1.2 times what the limit of a test allows.

The device is otherwise a good one: its errors are small beside all limits. A limit in decibels is
missed by 1.58 dB, a factor of 1.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from true_values import VirtualAmplifier
from virtual_benches import HEADROOM, declared, profile_of, random_bench

from emgsim.instruments.profiles import SheetLimit
from emgsim.plant.physics import AmplifierPhysics
from emgsim.plant.signal_faults import (
    ClockStep,
    GainDrift,
    InvertedPolarity,
    Mains,
    MissingCodes,
    Saturation,
    SignalFaults,
    SwappedChannels,
)
from emgsim.seeds import stream

RANGE_UV = 10_000.0
BAND_HZ = (10.0, 10_000.0)
BITS = 24
GOOD: dict[str, Any] = {
    "rate_hz": 48_000.0,
    "clock_ppm": 4.0,
    "clock_jitter_s": 0.1e-6,
    "channels": 3,
    "skews_us": (0.0, 0.3, 0.6),
    "gain": 1.004,
    "highpass_hz": BAND_HZ[0],
    "highpass_order": 2,
    "lowpass_hz": BAND_HZ[1],
    "lowpass_order": 2,
    "noise_uv_rms": 0.15,
    "channel_noise_uv_rms": 0.4,
    "cmrr_db": 110.0,
    "input_mohm": 800.0,
    "input_pf": 15.0,
    "common_pf": 15.0,
    "bias_na": 1.0,
    "crosstalk_db": -85.0,
    "offset_uv": 20.0,
    "second_order": 1e-4,
    "third_order": 1e-4,
    "clip_uv": 1.1 * RANGE_UV,
    "range_uv": HEADROOM * RANGE_UV,
    "adc_bits": BITS,
    "recovery_s": 0.5e-3,
}
DB = 1.584  # a factor of 1.2


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with the device, the signal's way, its data sheet or the fixture."""

    amplifier: dict[str, Any] = field(default_factory=dict)
    signal: dict[str, Any] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)
    states: dict[str, dict[str, Any]] = field(default_factory=dict)  # of the fixture, by name


FAULTS: tuple[tuple[str, str, Fault], ...] = (
    ("gain 6 % too large", "gain.accuracy", Fault(amplifier={"gain": 1.06})),
    ("gain 6 % too small", "gain.accuracy", Fault(amplifier={"gain": 0.94})),
    (
        "gain of the third channel 6 % too large",
        "gain.accuracy.ch3",
        Fault(amplifier={"channel_gains": (1.0, 1.0, 1.056)}),
    ),
    (
        "gain runs 1.2 % away during the tests",
        "gain.stability",
        Fault(signal={"gain_drift": GainDrift(per_cent=1.2, over_s=1.0, playback=4)}),
    ),
    ("inverted amplifier", "gain.polarity", Fault(amplifier={"gain": -1.004})),
    (
        "inverted lead",
        "gain.polarity",
        Fault(signal={"inverted_polarity": InvertedPolarity()}),
    ),
    ("low corner 12 % too high", "freq.low_corner", Fault(amplifier={"highpass_hz": 11.2})),
    ("low corner 12 % too low", "freq.low_corner", Fault(amplifier={"highpass_hz": 8.8})),
    ("high corner 12 % too high", "freq.high_corner", Fault(amplifier={"lowpass_hz": 11_200.0})),
    ("high corner 12 % too low", "freq.high_corner", Fault(amplifier={"lowpass_hz": 8_800.0})),
    (
        "low-pass of order 1 in place of 3",
        "freq.ripple",
        Fault(amplifier={"lowpass_order": 1}, profile={"orders": (2, 3)}),
    ),
    (
        "high-pass delays a fifth more than allowed",
        "phase.group_delay_spread",
        Fault(amplifier={"highpass_hz": 15.0}),
    ),
    (
        "notch beside 50 Hz, 1.2 dB deep there",
        "notch.depth.50hz",
        Fault(amplifier={"notch_hz": 52.0, "notch_q": 22.6}),
    ),
    (
        "notch beside 60 Hz, 1.2 dB deep there",
        "notch.depth.60hz",
        Fault(amplifier={"notch_hz": 62.4, "notch_q": 22.6}),
    ),
    (
        "mains notch left on",
        "notch.depth.50hz",
        Fault(amplifier={"notch_hz": 50.0, "notch_q": 30.0}),
    ),
    ("third order bends 0.6 %", "linearity.inl", Fault(amplifier={"third_order": 0.052})),
    ("second harmonic 0.12 %", "distortion.thd", Fault(amplifier={"second_order": 3.1e-3})),
    ("sums and differences 0.12 %", "distortion.imd", Fault(amplifier={"second_order": 3.2e-3})),
    ("saturates at 71 % of its range", "saturation.level", Fault(amplifier={"clip_uv": 7_080.0})),
    (
        "converter full at 71 % of its range",
        "saturation.level",
        Fault(signal={"saturation": Saturation(at_uv=7_080.0, part="converter")}),
    ),
    (
        "dynamic range 78.4 dB",
        "dynamic_range",
        Fault(amplifier={"channel_noise_uv_rms": 1.43, "noise_uv_rms": 0.1}),
    ),
    ("rate 60 ppm too high", "fs.accuracy", Fault(amplifier={"clock_ppm": 60.0})),
    ("rate 60 ppm too low", "fs.accuracy", Fault(amplifier={"clock_ppm": -60.0})),
    ("jitter of 1.2 us", "fs.jitter", Fault(amplifier={"clock_jitter_s": 1.2e-6})),
    ("skew of 6 us", "skew", Fault(amplifier={"skews_us": (0.0, 3.0, 6.0)})),
    (
        "one sample lost in each playback",
        "samples.missing",
        Fault(signal={"clock_step": ClockStep(samples=1, at_s=1.5, is_repeated=True)}),
    ),
    (
        "37 samples lost in each playback",
        "samples.missing",
        Fault(signal={"clock_step": ClockStep(samples=37, at_s=1.5, is_repeated=True)}),
    ),
    ("noise of 1.2 uV", "noise.rms", Fault(amplifier={"channel_noise_uv_rms": 1.87})),
    ("noise of 36 uV peak to valley", "noise.p2v", Fault(amplifier={"channel_noise_uv_rms": 3.9})),
    ("1.2 uV of 50 Hz", "noise.mains.50hz", Fault(signal={"mains": Mains(uv_pk=1.15)})),
    ("1.2 uV of 60 Hz", "noise.mains.60hz", Fault(signal={"mains": Mains(uv_pk=1.15, hz=60.0)})),
    ("offset of 600 uV", "dc.offset", Fault(amplifier={"offset_uv": 604.0})),
    ("offset of -600 uV", "dc.offset", Fault(amplifier={"offset_uv": -604.0})),
    ("offset runs 12 uV/s away", "baseline.drift", Fault(amplifier={"drift_uv_s": 12.05})),
    (
        "codes of 0.7 uV",
        "quantisation.lsb",
        Fault(amplifier={"adc_bits": 15}, profile={"bits": 15}),
    ),
    (
        "every seventh code missing",
        "quantisation.missing_codes",
        Fault(signal={"missing_codes": MissingCodes(every=7)}),
    ),
    (
        "two low bits stuck",
        "quantisation.missing_codes",
        Fault(
            amplifier={"adc_bits": 18},
            profile={"bits": 18},
            signal={"missing_codes": MissingCodes(stuck_bits=2)},
        ),
    ),
    (
        "codes three times as wide as others",
        "quantisation.dnl",
        Fault(
            amplifier={"adc_bits": 18},
            profile={"bits": 18},
            signal={"missing_codes": MissingCodes(stuck_bits=2)},
        ),
    ),
    (
        "overshoot of 12 %, and promises 10",
        "step.overshoot",
        Fault(
            amplifier={"lowpass_order": 6},
            profile={
                "orders": (2, 6),
                "sheet": {"step.overshoot": SheetLimit(high=10.0, unit="%")},
            },
        ),
    ),
    ("time constant 12 % too long", "step.tau", Fault(amplifier={"highpass_hz": 10.0 / 1.12})),
    (
        "undershoot 6 % deeper than declared",
        "impulse.undershoot",
        Fault(amplifier={"highpass_hz": 17.5}),
    ),
    (
        "a sine of 10 uV lost in noise",
        "minimum_signal.snr",
        Fault(amplifier={"channel_noise_uv_rms": 2.19}),
    ),
    (
        "MUAPs 6 % too small",
        "muap.fidelity.amplitude",
        Fault(amplifier={"lowpass_hz": 1_600.0}),
    ),
    (
        "recovers after 6 ms, and promises 5",
        "overload.recovery",
        Fault(
            amplifier={"highpass_order": 0, "recovery_s": 6e-3},
            profile={
                "orders": (0, 2),
                "band_hz": (0.0, BAND_HZ[1]),
                "sheet": {"overload.recovery": SheetLimit(high=5.0, unit="ms")},
            },
        ),
    ),
    ("rejection of 88.4 dB", "cmrr.balanced", Fault(amplifier={"cmrr_db": 90 - DB})),
    (
        "rejection of 58.4 dB with unequal electrodes",
        "cmrr.imbalance",
        Fault(amplifier={"common_pf": 385.0}),
    ),
    ("input of 83 Mohm", "zin.resistance", Fault(amplifier={"input_mohm": 83.3})),
    ("input of 60 pF", "zin.capacitance", Fault(amplifier={"input_pf": 60.0})),
    ("input current of 120 nA", "input.current", Fault(amplifier={"bias_na": 120.0})),
    ("input current of -120 nA", "input.current", Fault(amplifier={"bias_na": -120.0})),
    (
        "full of 300 mV, as it is coupled down to DC",
        "dc.offset_tolerance.gain",
        Fault(
            amplifier={"highpass_order": 0},
            profile={"orders": (0, 2), "band_hz": (0.0, BAND_HZ[1])},
        ),
    ),
    ("crosstalk of -58.4 dB", "crosstalk", Fault(amplifier={"crosstalk_db": -60 + DB})),
    (
        "channels 1 and 2 swapped",
        "crosstalk",
        Fault(signal={"swapped_channels": SwappedChannels()}),
    ),
    (
        "codes 6.8 % larger than declared",
        "gain.accuracy",
        Fault(amplifier={"range_uv": 1.068 * HEADROOM * RANGE_UV}),
    ),
    (
        "divider 6 % off its certificate",
        "gain.accuracy",
        Fault(states={"direct": {"differential": 1.06}}),
    ),
)
"""What is wrong, which test must tell (what its readings' ids begin with), and how it is made."""


def faulty_amplifiers() -> tuple[tuple[str, str, VirtualAmplifier], ...]:
    """Return each fault's name, the test that must tell it, and a device that has it."""
    return tuple(
        (name, right, _with(fault, number)) for number, (name, right, fault) in enumerate(FAULTS)
    )


def good_amplifier(seed: int) -> VirtualAmplifier:
    """Return the device without any fault."""
    return _with(Fault(), seed)


def _with(fault: Fault, seed: int) -> VirtualAmplifier:
    told: dict[str, Any] = {
        "band_hz": BAND_HZ,
        "orders": (2, 2),
        "range_uv": RANGE_UV,
        "bits": BITS,
        "channels": GOOD["channels"],
        "noise_uv_rms": 0.5,
    }
    setup = declared(profile_of(**(told | fault.profile)))
    amplifier = AmplifierPhysics.model_validate(GOOD | fault.amplifier)
    physics = random_bench(stream(seed, "bench of a faulty amplifier"), setup, amplifier)
    states = dict(physics.fixture.states)
    for name, factors in fault.states.items():
        changed = {key: factor * getattr(states[name], key) for key, factor in factors.items()}
        states[name] = states[name].model_copy(update=changed)
    fixture = physics.fixture.model_copy(update={"states": states})
    return VirtualAmplifier(
        physics=physics.model_copy(update={"fixture": fixture}),
        faults=SignalFaults(**fault.signal),
        setup=setup,
    )
