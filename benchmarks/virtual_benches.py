"""A calibrated bench as it is declared, and as it may truly be.

It is that of ``rigs/virtual-metrology.toml`` with another device: each of its values is drawn from
what its certificate says, as a normal value whose standard deviation is half the expanded
uncertainty.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import cache

import numpy as np

from emgsim.bench.rig import load_rig
from emgsim.instruments.base import SourceCaps
from emgsim.instruments.profiles import DeviceProfile, SheetLimit
from emgsim.metrology.setup import Known, Setup
from emgsim.plant.physics import AmplifierPhysics, RigPhysics, SourcePhysics, StatePhysics
from emgsim.running.declaring import setup_of

HEADROOM = 1.15  # of a converter over the range that its device declares
TODAY = date(2026, 6, 1)
GENERATOR = SourceCaps(
    code_bits=16,
    max_points=16_000_000,
    min_points=8,
    max_rate_hz=250e6,
    max_vpp_open_v=20.0,
    channels=2,
    output_ohm=50.0,
)


@cache
def _nominal() -> tuple[Setup, RigPhysics]:
    """Return the bench as its rig file declares it, and its physics."""
    rig = load_rig("virtual-metrology")
    assert rig.virtual is not None
    return setup_of(rig, GENERATOR, TODAY), rig.virtual


def declared(profile: DeviceProfile) -> Setup:
    """Return the bench with another device: states that drive channels it lacks are left out."""
    setup, _ = _nominal()
    states = {
        name: state
        for name, state in setup.states.items()
        if all(k < profile.n_channels for k in state.driven)
    }
    return replace(setup, device=profile, states=states)


def profile_of(
    *,
    rate_hz: float = 48_000.0,
    band_hz: tuple[float, float] = (10.0, 10_000.0),
    orders: tuple[int, int] = (2, 4),
    range_uv: float = 10_000.0,
    bits: int = 24,
    channels: int = 4,
    noise_uv_rms: float = 0.6,
    sheet: dict[str, SheetLimit] | None = None,
) -> DeviceProfile:
    """Return what a device declares of itself; its codes reach a little beyond its range."""
    base = _nominal()[0].device
    assert base.frame is not None
    return base.model_copy(
        update={
            "rate_hz": rate_hz,
            "band_hz": band_hz,
            "highpass_order": orders[0],
            "lowpass_order": orders[1],
            "range_uv": range_uv,
            "scale_uv_per_count": HEADROOM * range_uv / 2 ** (bits - 1),
            "noise_uv_rms": noise_uv_rms,
            "frame": base.frame.model_copy(update={"channels": channels}),
            "sheet": sheet or {},
        }
    )


def random_bench(rng: np.random.Generator, setup: Setup, amplifier: AmplifierPhysics) -> RigPhysics:
    """Draw what the bench truly is from what its certificates say."""
    nominal, sheet = _nominal()[1], setup.source
    errors: dict[str, float] = {}

    def certified(known: Known, frequency_hz: float = 1.0) -> float:
        """Return the true value over the declared one; a certificate errs once."""
        value, sd = known.at(frequency_hz)
        name = f"{known.certificate} {sd:g}"
        errors.setdefault(name, rng.standard_normal())
        return value * (1 + sd * errors[name])

    harmonic = 10 ** (sheet.distortion_db / 20) / 2
    source = SourcePhysics(
        gain=certified(sheet.gain),
        clock_ppm=1e6 * (certified(sheet.clock) - 1),
        noise_mv_rms=nominal.source.noise_mv_rms,
        second_order=2 * harmonic * rng.standard_normal(),
        third_order=4 * harmonic * rng.standard_normal(),
    )
    null = 10 ** (setup.states["node_drive"].null_db / 20) / 2 * rng.standard_normal()
    states = {}
    for name, wired in nominal.fixture.states.items():
        if name not in setup.states:
            continue
        known = setup.states[name]
        given = certified(known.transfer)
        low, high = (certified(known.impedance, f) for f in (1.0, 10_000.0))
        states[name] = StatePhysics(
            differential=null * known.common if known.is_common else known.differential * given,
            common=known.common * given,
            input_ohm=wired.input_ohm,
            series_ohm=known.series_ohm * low,
            series_nf=known.series_nf * high,
            offset_mv=known.offset_mv * (1 + 0.0025 * rng.standard_normal()),
            has_electrode=wired.has_electrode,
            driven=wired.driven,
            relays=wired.relays,
        )
    through = certified(setup.states["through"].transfer) * setup.states["through"].differential
    fixture = nominal.fixture.model_copy(
        update={"shunt_ohm": 10_000.0 * through / (1 - through), "states": states, "clamp_v": None}
    )
    return RigPhysics(
        source=source, fixture=fixture, electrode=nominal.electrode, amplifier=amplifier
    )
