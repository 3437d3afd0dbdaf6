"""Random amplifiers on random benches, what is true of them, and clean ones.

A device is drawn over the ranges in which amplifiers lie, and declares nominal values of itself;
its bench is drawn from its certificates (`virtual_benches`).

Usage::

    python benchmarks/virtual_amplifiers.py [SEED ...]

prints what is true of these devices. There is no goal: `benchmarks/metrology_coverage.py` measures
them.
"""

from __future__ import annotations

import math
import sys

import numpy as np
from faulty_amplifiers import faulty_amplifiers
from true_values import VirtualAmplifier
from virtual_benches import HEADROOM, declared, profile_of, random_bench

from emgsim.instruments.profiles import DeviceProfile
from emgsim.plant.physics import AmplifierPhysics
from emgsim.plant.signal_faults import MissingCodes, SignalFaults
from emgsim.seeds import stream

__all__ = ["VirtualAmplifier", "clean_amplifier", "faulty_amplifiers", "random_amplifier"]

LONGEST_JITTER = 0.98 / 8  # of a sample: the plant's own limit


def random_amplifier(seed: int) -> VirtualAmplifier:
    """Draw a device and its bench."""
    rng = stream(seed, "virtual amplifier")
    profile, amplifier, faults = _random_device(rng)
    setup = declared(profile)
    return VirtualAmplifier(physics=random_bench(rng, setup, amplifier), faults=faults, setup=setup)


def clean_amplifier(seed: int) -> VirtualAmplifier:
    """Draw a device all of whose errors are at most half of their default limits."""
    rng = stream(seed, "clean amplifier")
    low_hz, high_hz = _log_uniform(rng, 5.0, 20.0), _log_uniform(rng, 8_000.0, 11_000.0)
    order, channels, bits = int(rng.integers(1, 3)), int(rng.integers(2, 4)), (18, 20, 24)
    range_uv, rate_hz = float(rng.uniform(10_000.0, 19_000.0)), 48_000.0
    profile = profile_of(
        rate_hz=rate_hz,
        band_hz=(round(low_hz, 2), round(high_hz)),
        orders=(order, 2),
        range_uv=range_uv,
        bits=int(rng.choice(bits)),
        channels=channels,
        noise_uv_rms=0.5,
    )
    gain = 1 + rng.uniform(-0.02, 0.02)
    noise_uv = 0.45 * gain * rng.uniform(0.6, 1.0)  # in the band, of the limit's 1 uV
    amplifier = AmplifierPhysics(
        rate_hz=rate_hz,
        clock_ppm=rng.uniform(-24.0, 24.0),
        clock_jitter_s=rng.uniform(0.0, 0.45e-6),
        channels=channels,
        channel_gains=(1.0, *(1 + rng.uniform(-0.003, 0.003, channels - 1))),
        skews_us=(0.0, *rng.uniform(0.0, 2.4, channels - 1)),
        gain=gain,
        highpass_hz=profile.band_hz[0] * rng.uniform(0.955, 1.045),
        highpass_order=order,
        lowpass_hz=profile.band_hz[1] * rng.uniform(0.955, 1.045),
        lowpass_order=2,
        noise_uv_rms=0.3 * noise_uv * math.sqrt(10_000.0 / high_hz),
        channel_noise_uv_rms=0.95 * noise_uv * math.sqrt(rate_hz / 2 / high_hz),
        cmrr_db=rng.uniform(96.5, 120.0),
        input_mohm=_log_uniform(rng, 210.0, 2_000.0),
        input_pf=_log_uniform(rng, 5.0, 24.0),
        common_pf=_log_uniform(rng, 5.0, 40.0),
        bias_na=rng.uniform(0.0, 48.0),
        crosstalk_db=rng.uniform(-90.0, -67.0),
        offset_uv=rng.uniform(-240.0, 240.0),
        second_order=_signed(rng, 1e-5, 9e-4),
        third_order=_signed(rng, 1e-5, 9e-4),
        clip_uv=range_uv * rng.uniform(1.09, 1.12),
        range_uv=HEADROOM * range_uv,
        adc_bits=round(math.log2(2 * HEADROOM * range_uv / profile.scale_uv_per_count)),
        recovery_s=rng.uniform(0.0, 1e-3),
    )
    setup = declared(profile)
    return VirtualAmplifier(
        physics=random_bench(rng, setup, amplifier), faults=SignalFaults(), setup=setup
    )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _random_device(
    rng: np.random.Generator,
) -> tuple[DeviceProfile, AmplifierPhysics, SignalFaults]:
    """Draw a device: what it declares, what it is, and which codes it lacks."""
    is_direct = rng.uniform() < 1 / 3
    low_hz = 0.0 if is_direct else _log_uniform(rng, 2.0, 30.0)
    high_hz = _log_uniform(rng, 2_000.0, 12_000.0)
    orders = (0 if is_direct else int(rng.integers(1, 3)), int(rng.integers(2, 5)))
    rate_hz = float(100 * np.ceil(high_hz * rng.uniform(4.0, 5.0) / 100))
    channels, bits = int(rng.integers(2, 5)), int(rng.choice([14, 16, 18, 20, 24]))
    range_uv = float(rng.uniform(5_000.0, 19_000.0))
    code_uv = HEADROOM * range_uv / 2 ** (bits - 1)
    # Half a code of noise, or codes would come of none.
    noise_uv = max(_log_uniform(rng, 0.3, 2.0), 0.5 * code_uv)
    profile = profile_of(
        rate_hz=rate_hz,
        band_hz=(round(low_hz, 2), round(high_hz)),
        orders=orders,
        range_uv=range_uv,
        bits=bits,
        channels=channels,
        noise_uv_rms=float(f"{noise_uv * rng.uniform(0.9, 1.2):.2g}"),
    )
    skews_us = rng.uniform(0.0, 30.0, channels)
    input_mohm = _log_uniform(rng, 50.0, 2_000.0)
    amplifier = AmplifierPhysics(
        rate_hz=rate_hz,
        clock_ppm=rng.uniform(-200, 200),
        clock_jitter_s=min(1e-6 * _log_uniform(rng, 0.05, 3.0), LONGEST_JITTER / rate_hz),
        channels=channels,
        channel_gains=(1.0, *(1 + 0.005 * rng.standard_normal(channels - 1))),
        skews_us=tuple(skews_us - skews_us.min()),
        gain=1 + rng.uniform(-0.08, 0.08),
        highpass_hz=max(low_hz, 1.0) * rng.uniform(0.92, 1.08),
        highpass_order=orders[0],
        lowpass_hz=high_hz * rng.uniform(0.92, 1.08),
        lowpass_order=orders[1],
        noise_uv_rms=0.3 * noise_uv * math.sqrt(10_000.0 / high_hz),
        channel_noise_uv_rms=math.sqrt(1 - 0.3**2) * noise_uv * math.sqrt(rate_hz / 2 / high_hz),
        cmrr_db=rng.uniform(70.0, 120.0),
        input_mohm=input_mohm,
        input_pf=_log_uniform(rng, 5.0, 100.0),
        common_mohm=2 * input_mohm,
        common_pf=_log_uniform(rng, 5.0, 50.0),
        bias_na=rng.uniform(0.0, 20.0),
        crosstalk_db=rng.uniform(-90.0, -50.0),
        offset_uv=rng.uniform(-200.0, 200.0),
        second_order=_signed(rng, 1e-5, 1e-2),
        third_order=_signed(rng, 1e-5, 1e-2),
        clip_uv=range_uv * rng.uniform(1.09, 1.12),
        range_uv=HEADROOM * range_uv,
        adc_bits=bits,
        recovery_s=rng.uniform(0.0, 0.020),
    )
    return profile, amplifier, SignalFaults(missing_codes=_random_codes(rng, noise_uv, code_uv))


def _signed(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.choice([-1.0, 1.0])) * _log_uniform(rng, low, high)


def _random_codes(rng: np.random.Generator, noise_uv: float, code_uv: float) -> MissingCodes | None:
    """Draw which codes a converter lacks: most lack none."""
    lot = rng.uniform()
    if lot < 0.15:
        return MissingCodes(every=int(rng.integers(5, 50)))
    most = int(np.log2(max(1.0, 2 * noise_uv / code_uv)))  # what is left is dithered, too
    return MissingCodes(stuck_bits=min(int(rng.integers(1, 4)), most)) if lot < 0.25 else None


def main() -> int:
    """Print what is true of some devices."""
    for seed in [int(word) for word in sys.argv[1:]] or [1]:
        drawn = random_amplifier(seed)
        print(f"seed {seed}: {drawn.physics.amplifier}")
        for name, value in sorted(drawn.truth.items()):
            print(f"  {name:32} {value:.6g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
