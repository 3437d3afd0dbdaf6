"""One analysis for every path: it is given samples and a plan, and knows nothing else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis import muaps
from emgsim.analysis.conditioning import Conditioned, condition
from emgsim.analysis.decomposition import Model, decompose
from emgsim.analysis.effort import segmented
from emgsim.analysis.plan import NeedlePlan
from emgsim.analysis.quality import require_analysable
from emgsim.analysis.trains import intervals_of
from emgsim.errors import NotAnalysableError
from emgsim.recording import Findings, FoundUnit, Recording

Floats = NDArray[np.float64]

NEEDLES = ("concentric_needle", "monopolar", "single_fibre", "fine_wire", "thin_film")
NEEDLE_RATE_HZ = 8_000.0  # nobody samples surface EMG as fast


def analyse(recording: Recording, plan: NeedlePlan | None = None) -> Findings:
    """Find motor units, their potentials and the effort in a recording.

    Parameters
    ----------
    recording
        Any rate from 2 kHz, any start time; missing samples are NaN.
    plan
        What to look for. Without one it is chosen by the electrode's kind, else by the rate.

    Returns
    -------
    Findings
        Times on the recording's clock. ``Findings.plan`` says which plan was used and why.

    Raises
    ------
    NotAnalysableError
        If the recording holds nothing that a number could honestly come from.

    Examples
    --------
    >>> from emgsim import load_scenario, simulate
    >>> recording, truth = simulate(load_scenario("healthy_biceps"), seed=1)
    >>> len(analyse(recording).units) >= 3
    True
    """
    channel, reason = _channel_and_reason(recording, plan)
    plan = NeedlePlan() if plan is None else plan
    require_analysable(recording, channel)
    samples_uv = recording.samples_uv[:, channel]
    signal = condition(samples_uv, recording.rate_hz, recording.start_s, plan)
    model, work = decompose(signal, plan)
    units = _found(recording, channel, model, work)
    span_s = (recording.start_s, recording.start_s + recording.duration_s)
    return Findings(
        units=units,
        events=segmented(signal, span_s, active=bool(units)),
        muap_rate_hz=recording.rate_hz,
        plan=reason,
    )


def _channel_and_reason(recording: Recording, plan: NeedlePlan | None) -> tuple[int, str]:
    """Return the channel to decompose, and why with this plan."""
    needles = [i for i, c in enumerate(recording.channels) if c.kind in NEEDLES]
    channel = needles[0] if needles else 0
    name = f"channel {recording.channels[channel].name!r}" if recording.channels else ""
    if not recording.channels:
        raise NotAnalysableError("not analysable: the recording has no channel")
    if plan is not None:
        return channel, f"{plan.kind}: as asked for; {name}"
    if needles:
        return channel, f"needle: {name} is a {recording.channels[channel].kind}"
    if recording.rate_hz >= NEEDLE_RATE_HZ:
        return channel, f"needle: {name} is sampled at {recording.rate_hz:g} Hz"
    raise NotAnalysableError(
        f"not analysable: no plan for kind {recording.channels[channel].kind!r} at "
        f"{recording.rate_hz:g} Hz",
        where=name,
        todo="give a plan, or name a needle as the channel's kind",
    )


def _found(
    recording: Recording, channel: int, model: Model, work: Conditioned
) -> tuple[FoundUnit, ...]:
    """Turn the model's units into findings, the largest potential first."""
    trains = [work.start_s + unit.positions / work.rate_hz for unit in model.units]
    waves = muaps.averaged(recording, trains) if trains else []
    sizes = [float(np.ptp(wave[:, channel])) for wave in waves]
    order = sorted(range(len(trains)), key=lambda k: -sizes[k])
    return tuple(
        FoundUnit(
            id=number,
            discharge_times_s=trains[k],
            muap_uv=waves[k],
            muap_start_s=muaps.start_s(recording.rate_hz),
            measures=_measures(trains[k], sizes[k]),
        )
        for number, k in enumerate(order, start=1)
    )


def _measures(train_s: Floats, peak_to_peak_uv: float) -> dict[str, float]:
    intervals = intervals_of(train_s)
    return {
        "n_discharges": float(train_s.size),
        "peak_to_peak_uv": peak_to_peak_uv,
        "rate_hz": 1 / intervals.mean_s,
        "interval_cov": intervals.regularity,
    }
