"""A recording played through a virtual rig in process: generator, divider, amplifier.

Nobody has to find the recording in what came back: the plant says when each sample was taken. So
the recordings have their true start and their true rate on the scenario's clock, to which the
clocks of generator, amplifier and oscilloscope stand as the rig says.

What is late stays late: the hold and the filter of the generator by some 10 us, the device's
filters by some tens more. Not stated are a clock that jumps (a fault of the rig), and where within
one sample the oscilloscope begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgsim.bench.levels import LevelPlan, plan_levels
from emgsim.bench.program import Program, program_for
from emgsim.bench.rig import Rig
from emgsim.configuration import validated
from emgsim.errors import InputError
from emgsim.instruments.base import SourceCaps
from emgsim.instruments.generator_waveforms import coded
from emgsim.plant.parts import FULL_SCALE_CODE
from emgsim.plant.world import GeneratorSettings, World
from emgsim.recording import Recording

Floats = NDArray[np.float64]

ON_S = 0.05  # for which the rig has been on
BEFORE_S = 0.02  # streamed before the trigger
TAIL_S = 0.05  # and after the playback
FASTEST_HZ = 160e6  # of the generator; a playback takes 100 kHz
LARGEST_VPP_V = 20.0  # open circuit
SCOPE_MARGIN = 1.25  # of the screen over the signal


def play_in_process(
    clean: Recording, rig_table: Mapping[str, Any], seed: int
) -> dict[str, Recording]:
    """Return what the oscilloscope and the device of a virtual rig record of a playback.

    Parameters
    ----------
    clean
        One channel, without gaps.
    rig_table
        The resolved rig.
    seed
        Of noise and converter phases.

    Returns
    -------
    dict
        ``loopback``, what left the generator over the declared division, and ``device``, its codes
        by its declared sensitivity: microvolts at the electrode.

    Raises
    ------
    InputError
        If the recording has several channels.
    UsageError
        If the playback does not fit the generator, or the device does not hear it.
    SafetyError
        If it would exceed a limit of the rig.
    """
    if len(clean.channels) != 1:
        raise InputError(
            f"a rig plays one channel, and the electrode has {len(clean.channels)}",
            where="rig",
            todo="leave the rig out, or use an electrode of one channel",
        )
    rig = validated(Rig, rig_table, "the plan's rig")
    if rig.virtual is None:
        raise InputError("the rig is no virtual one", where=rig.id, todo="name a virtual rig")
    program = program_for(clean, rig.profile.band_hz[1])
    levels, volts = plan_levels(program, rig, _generator(rig), rig.profile.band_hz[1])
    world = World(rig.virtual, seed, rig.faults.signal)
    codes_v = _play(world, rig, levels, volts)
    return {
        "loopback": _loopback(world, rig, program, clean, codes_v),
        "device": _device(world, rig, program, clean),
    }


def _generator(rig: Rig) -> SourceCaps:
    return SourceCaps(
        code_bits=rig.source.bits, max_points=rig.source.max_points, min_points=8,
        max_rate_hz=FASTEST_HZ, max_vpp_open_v=LARGEST_VPP_V, channels=1,
        output_ohm=rig.source.output_ohm,
    )  # fmt: skip


def _play(world: World, rig: Rig, levels: LevelPlan, volts: Floats) -> float:
    """Play once, and return the oscilloscope's range in volts."""
    codes, _ = coded(volts, levels.vpp_open_v / 2, -FULL_SCALE_CODE, FULL_SCALE_CODE)
    world.advance(ON_S)
    world.generator.set_waveform(codes.astype(np.int16))
    world.generator.apply(
        GeneratorSettings(
            rate_hz=levels.source_rate_hz,
            vpp_open_v=levels.vpp_open_v,
            filter=rig.source.filter,
            output_on=True,
        )
    )
    world.amplifier.start()
    world.advance(BEFORE_S)
    world.amplifier.take()  # sample 0 is the first one after the trigger
    range_v = levels.vpp_open_v * levels.load_factor * SCOPE_MARGIN
    rate_hz = rig.profile.rate_hz
    world.scope.arm(
        rate_hz=rate_hz,
        n_points=int(levels.duration_s * rate_hz),
        ranges_v={1: range_v},
        offsets_v={1: 0.0},
        averaged=world.physics.scope.averaged_at(rate_hz),
    )
    world.generator.trigger()
    world.advance(levels.duration_s + TAIL_S)
    return range_v


def _device(world: World, rig: Rig, program: Program, clean: Recording) -> Recording:
    uv = world.amplifier.take() * rig.profile.scales_uv_per_count
    times_s = world.sample_times_s(uv.shape[0])
    true_rate_hz = (times_s.size - 1) / (times_s[-1] - times_s[0])
    like = clean.channels[0]  # all inputs hear it
    channels = tuple(
        replace(like, name=f"device {k + 1}", reference="", band_hz=rig.profile.band_hz)
        for k in range(uv.shape[1])
    )
    at = float(times_s[0]), float(true_rate_hz)
    return _placed(uv, at, world, program, replace(clean, channels=channels))


def _loopback(
    world: World, rig: Rig, program: Program, clean: Recording, range_v: float
) -> Recording:
    scope = world.scope
    volts = scope.codes(1) * (range_v / 2**scope.bits)
    uv = 1e6 * rig.fixture.ratio * volts[:, None]
    rate_hz = scope.rate_hz * (1 + world.physics.scope.clock_ppm * 1e-6)
    return _placed(uv, (0.5 / rate_hz, rate_hz), world, program, clean)


def _placed(
    uv: Floats, at: tuple[float, float], world: World, program: Program, like: Recording
) -> Recording:
    """Put samples on the scenario's clock, and keep those of the recording.

    ``at`` is the true time of sample 0 after the generator's first point, and the true rate. The
    generator, too, has a clock of its own: what it plays at a time of the program comes earlier.
    """
    first_s, true_rate_hz = at
    faster = 1 + world.physics.source.clock_ppm * 1e-6
    whole = Recording(
        samples_uv=uv,
        rate_hz=true_rate_hz / faster,
        channels=like.channels,
        start_s=first_s * faster - program.recording_start_s + like.start_s,
    )
    return whole.cut(like.start_s, like.start_s + like.duration_s)
