"""What is true of a virtual amplifier, by the id of the test that is to find it.

Closed forms (`closed_forms`), each as the docstring of its test defines it. Where a test says that
what it reads without noise is the truth, it is asked itself: on the same plant without noise,
jitter and rounding, on a bench that is exactly what it declares.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from closed_forms import ClosedForms

from emgsim.in_process import InProcess
from emgsim.metrology.procedure import Measuring
from emgsim.metrology.setup import Known, Setup
from emgsim.metrology.table import PROCEDURES
from emgsim.plant.physics import RigPhysics, SourcePhysics
from emgsim.plant.signal_faults import SignalFaults

# Procedures whose reading without noise is their truth.
READ_WITHOUT_NOISE = ("step", "impulse.undershoot", "muap.fidelity")
MEAN_OF_PHASES = "overload.recovery"  # likewise, but of as many phases of the samples
PHASES = 6
FINEST_BITS = 24


@dataclass(frozen=True, kw_only=True)
class VirtualAmplifier:
    """A device on a bench: what it truly is, and what is declared."""

    physics: RigPhysics
    faults: SignalFaults
    setup: Setup

    @cached_property
    def truth(self) -> dict[str, float]:
        """True value of each test."""
        return true_values(self)


def true_values(drawn: VirtualAmplifier) -> dict[str, float]:
    """Return the true value of each test, by its id."""
    known = ClosedForms(drawn.physics, drawn.faults, drawn.setup)
    return {
        **known.of_gain(),
        **known.of_response(),
        **known.of_clocks(),
        **known.of_silence(),
        **known.of_codes(),
        **known.of_large_sines(),
        **known.of_inputs(),
        **without_noise(drawn),
    }


def without_noise(drawn: VirtualAmplifier) -> dict[str, float]:
    """Return what tests read of the same device without noise on a perfect bench."""
    measuring = Measuring(quiet_bench(drawn))
    told = {
        reading.id: reading.value
        for procedure in PROCEDURES
        if procedure.id.startswith(READ_WITHOUT_NOISE) and procedure.id != "step.tau"
        for reading in procedure.measure(measuring)
    }
    phases = [
        {reading.id: reading.value for reading in procedure.measure(Measuring(bench))}
        for procedure in PROCEDURES
        if procedure.id == MEAN_OF_PHASES
        for bench in (quiet_bench(drawn, seed) for seed in range(PHASES))
    ]
    return told | {id: float(np.mean([one[id] for one in phases])) for id in (phases or [{}])[0]}


def quiet_bench(drawn: VirtualAmplifier, seed: int = 1) -> InProcess:
    """Return the same device without noise, jitter and rounding, on a perfect bench."""
    setup, physics = drawn.setup, drawn.physics
    frame = setup.device.frame
    assert frame is not None
    finer = 2.0 ** (physics.amplifier.adc_bits - FINEST_BITS)
    device = setup.device.model_copy(
        update={"scale_uv_per_count": setup.device.scale_uv_per_count * finer}
    )
    amplifier = physics.amplifier.model_copy(
        update={
            "noise_uv_rms": 0.0,
            "channel_noise_uv_rms": 0.0,
            "clock_jitter_s": 0.0,
            "adc_bits": FINEST_BITS,
        }
    )
    states = {}
    for name, state in physics.fixture.states.items():
        said = setup.states[name]
        states[name] = state.model_copy(
            update={"differential": said.differential, "common": said.common}
        )
    through = setup.states["through"].differential
    fixture = physics.fixture.model_copy(
        update={
            "states": states,
            "temperature_k": 1e-12,
            "series_ohm": physics.fixture.shunt_ohm * (1 - through) / through,
        }
    )
    exact = physics.model_copy(
        update={
            "amplifier": amplifier,
            "fixture": fixture,
            "source": SourcePhysics(noise_mv_rms=0.0, clock_ppm=0.0),
        }
    )
    perfect = replace(
        setup, device=device, source=replace(setup.source, gain=Known(), clock=Known())
    )
    return InProcess(perfect, exact, seed)
