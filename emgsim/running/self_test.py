"""A bench's test of itself: whether source, fixture and capture are what the rig file says.

A harmless sine proves the divider; then a short program, two markers and a sine between them, is
played as a recording is, and is looked at by the oscilloscope and by the device. What is not as it
should be makes all that rests on it inconclusive: it says nothing about the device. An ordinary run
needs none of this, since its own loopback says the same (`emgsim.running.gating`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from emgsim import chain
from emgsim.bench.playing import Catch, load_program, play
from emgsim.bench.program import LEAD_S, Program, program_for
from emgsim.bench.rig import THROUGH, Rig
from emgsim.bench.station import Station
from emgsim.errors import NotAnalysableError
from emgsim.recording import Channel, Recording
from emgsim.running.aligning import budgets, declared, heard_paths
from emgsim.running.gating import LOOPBACK
from emgsim.running.played import Played
from emgsim.stages import FLAT
from emgsim.verdict import Limit, Measurement, judge

SINE_S = 0.5
LEVEL_OF_RANGE = 0.1  # of the device's, and of what the rig allows it to see
OVER_BAND = 4.0  # rate of the program over the device's band

LIMITS = (
    *LOOPBACK,
    Limit(measurement="offset.of_range_pct.loopback", low=-2.0, high=2.0, unit="%"),
    # Both certificates and the device's own gain are in it: its tests measure the gain.
    Limit(measurement="amplitude.error_pct.device", low=-10.0, high=10.0, unit="%"),
    Limit(measurement="amplitude.polarity.device", low=1.0, high=1.0, unit="1"),
    # Ten times the budget is no noisy amplifier but a lead that is open, or hum.
    Limit(measurement="noise.over_budget_pct.device", high=900.0, unit="%"),
)
"""What must hold before anything is measured."""


def self_test(station: Station) -> tuple[Measurement, ...]:
    """Let a bench test itself, its fixture in the state in which recordings are played.

    Takes about 5 s of the device's time.

    Parameters
    ----------
    station
        Opened; its output is off before and after. Of several generators the first is tested, or
        that of `Station.of`.

    Returns
    -------
    tuple of Measurement
        One for each of `LIMITS`, its id behind ``self_test.``; what does not hold is inconclusive.

    Raises
    ------
    SafetyError
        If the divider is not there, or the device hears what cannot come of the program.
    """
    rig = station.rig
    station.into(THROUGH)
    station.prove_divider()
    program = program_for(_sine(rig), rig.profile.band_hz[1])
    plan, _ = load_program(station, program)
    catch = Catch()
    play(station, program, plan, catch, is_last=False)
    found = {m.id: m for m in _facts(rig, program, Played.of(catch, plan, rig, station.input))}
    return tuple(_judged(limit, found) for limit in LIMITS)


def why_inconclusive(tested: Iterable[Measurement]) -> str:
    """Return what is wrong with a bench by its self-test, in words; nothing if nothing is."""
    return "; ".join(
        f"{m.id} must be {m.limit}, got {m.value:.4g}" + (f" ({m.note})" if m.note else "")
        for m in tested
        if m.verdict == "inconclusive"
    )


def _sine(rig: Rig) -> Recording:
    """Return a sine in the middle of the device's band, well within its range."""
    profile = rig.profile
    low_hz, high_hz = profile.band_hz
    rate_hz = OVER_BAND * high_hz
    peak_uv = LEVEL_OF_RANGE * min(profile.range_uv, 1e3 * rig.limits.device_differential_mv_pk)
    t = np.arange(round(SINE_S * rate_hz)) / rate_hz
    uv = peak_uv * np.sin(2 * np.pi * math.sqrt(max(low_hz, 1.0) * high_hz) * t)
    return Recording(samples_uv=uv[:, None], rate_hz=rate_hz, channels=(Channel(name="sine"),))


def _facts(rig: Rig, program: Program, played: Played) -> Iterator[Measurement]:
    """Yield what the oscilloscope and the device say of the program; nothing where it is not."""
    heard, noise = heard_paths(rig, program, played), budgets(rig, played)
    for name, response in (("loopback", FLAT), ("device", declared(rig))):
        try:
            path = chain.path_of(name, heard[name], program, duration_s=SINE_S, response=response)
        except NotAnalysableError:
            continue
        yield from chain.chain_measurements(path, noise[name])
    silent_v = played.source_v[: int(0.9 * LEAD_S * played.scope_rate_hz)]
    yield chain.measured(
        "offset.of_range_pct.loopback", 100 * float(silent_v.mean()) / played.source_range_v, "%"
    )


def _judged(limit: Limit, found: dict[str, Measurement]) -> Measurement:
    """Return a fact with its limit: it holds, or is inconclusive."""
    nothing = Measurement(
        id=limit.measurement,
        value=math.nan,
        unit=limit.unit,
        note="what was played is not in the recording",
    )
    judged = judge(found.get(limit.measurement, nothing), limit)
    holds = judged.verdict in ("pass", "conditional_pass")
    return replace(judged, id=f"self_test.{judged.id}", verdict="pass" if holds else "inconclusive")
