"""One analysis for every path: it is given samples and a plan, and knows nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis import muaps
from emgsim.analysis.conditioning import Conditioned, condition, stacked
from emgsim.analysis.confidence import confidences
from emgsim.analysis.contractions import effort_measures
from emgsim.analysis.decomposability import decomposability
from emgsim.analysis.decomposition import Model, decompose
from emgsim.analysis.effort import segments
from emgsim.analysis.jitter import jitter_pairs
from emgsim.analysis.plan import NeedlePlan, Plan, SurfacePlan
from emgsim.analysis.quality import require_analysable
from emgsim.analysis.quantification import QuantifiedMuap, quantified
from emgsim.analysis.skin import analyse_surface
from emgsim.analysis.stretches import analyse_stretches, runs_at_rest
from emgsim.analysis.trains import train_measures
from emgsim.errors import NotAnalysableError
from emgsim.measures import SLOWEST_RATE_HZ
from emgsim.recording import SURFACE_KINDS, Event, Findings, FoundUnit, Recording
from emgsim.seeds import stream

Floats = NDArray[np.float64]

NEEDLES = ("concentric_needle", "monopolar", "single_fibre", "fine_wire", "thin_film")
NEEDLE_RATE_HZ = 8_000.0  # nobody samples surface EMG as fast
RESAMPLES = 40  # of each MUAP's interval: they cost more than all the rest
# Least noise, of the signal's rms in the band of the decomposition; electrode and amplifier have
# more. In a clean simulation templates err far beyond it, and no train of theirs is believed.
LEAST_NOISE = 0.01
PIECE_S = 0.02  # the quietest of them tells the noise
VOLUNTARY_SHARE = 0.5  # of a unit's discharges within contractions; else it discharges by itself


def analyse(recording: Recording, plan: Plan | None = None) -> Findings:
    """Find motor units with their potentials, efforts, and what discharges at rest.

    Of surface EMG it measures contractions and tasks; see `emgsim.analysis.skin.analyse_surface`.

    Parameters
    ----------
    recording
        Any rate from 2 kHz, any start time; missing samples are NaN. All its needle channels are
        decomposed together.
    plan
        What to look for. Without one it is chosen by the electrode's kind, else by the rate. Of an
        examination it says what was done when, and each stretch is analysed by what it is: see
        `emgsim.analysis.stretches.analyse_stretches`.

    Returns
    -------
    Findings
        Times on the recording's clock. ``Findings.plan`` says which plan was used and why.

    Raises
    ------
    NotAnalysableError
        If the recording holds nothing that a number could honestly come from.
    InputError
        If a stretch of the plan reaches beyond the recording.

    Examples
    --------
    >>> from emgsim import load_scenario, simulate
    >>> recording, truth = simulate(load_scenario("healthy_biceps"), seed=1)
    >>> len(analyse(recording).units) >= 3
    True
    """
    if isinstance(plan, SurfacePlan) or (plan is None and _is_on_skin(recording)):
        return analyse_surface(recording, plan or SurfacePlan())
    if plan is not None and plan.stretches:
        return analyse_stretches(recording, plan, channels=_needles(recording), slight=analyse)
    channels, reason = _channels_and_reason(recording, plan)
    plan = NeedlePlan() if plan is None else plan
    first = channels[0]
    samples_uv, rate_hz, start_s = recording.samples_uv, recording.rate_hz, recording.start_s
    work, model = _decomposed(recording, channels, plan)
    trains_s = [work.start_s + unit.positions / work.rate_hz for unit in model.units]
    events = segments(samples_uv[:, first], rate_hz, start_s=start_s, trains_s=trains_s)
    voluntary = [k for k, train_s in enumerate(trains_s) if _is_voluntary(train_s, events)]
    units = _found(recording, first, model, work, trains_s, voluntary)
    return Findings(
        units=units,
        events=events,
        runs=runs_at_rest(recording, first, events),
        measures=effort_measures(
            samples_uv[:, first], rate_hz, start_s=start_s, units=units, events=events
        ),
        muap_rate_hz=rate_hz,
        plan=reason,
    )


def _channels_and_reason(
    recording: Recording, plan: NeedlePlan | None
) -> tuple[tuple[int, ...], str]:
    """Return the channels to decompose, and why with this plan.

    Raises
    ------
    NotAnalysableError
        If there is no plan for the channels' kinds, or none of them can be analysed.
    """
    needles = _needles(recording)
    channel = recording.channels[needles[0]]
    is_told = plan is not None or channel.kind in NEEDLES
    if not is_told and recording.rate_hz < NEEDLE_RATE_HZ:
        raise NotAnalysableError(
            f"not analysable: no plan for kind {channel.kind!r} at {recording.rate_hz:g} Hz",
            where=f"channel {channel.name!r}",
            todo="give a plan, or name a needle as the channel's kind",
        )
    channels = _analysable(recording, needles)
    channel = recording.channels[channels[0]]
    name = f"channel {channel.name!r}"
    if len(channels) > 1:
        name += f" and {len(channels) - 1} more"
    if plan is not None:
        return channels, f"{plan.kind}: as asked for; {name}"
    if channel.kind in NEEDLES:
        return channels, f"needle: {name} is a {channel.kind}"
    return channels, f"needle: {name} is sampled at {recording.rate_hz:g} Hz"


def _is_on_skin(recording: Recording) -> bool:
    """Tell whether the first channel is a surface electrode by its kind."""
    return bool(recording.channels) and recording.channels[0].kind in SURFACE_KINDS


def _needles(recording: Recording) -> list[int]:
    """Return the columns that are needles by their kind; if none is named so, the first."""
    if not recording.channels:
        raise NotAnalysableError("not analysable: the recording has no channel")
    return [i for i, c in enumerate(recording.channels) if c.kind in NEEDLES] or [0]


def _analysable(recording: Recording, channels: Sequence[int]) -> tuple[int, ...]:
    """Return those of the channels that can honestly be analysed; there is one at least."""
    usable, refused = [], []
    for channel in channels:
        try:
            require_analysable(recording, channel)
        except NotAnalysableError as error:
            refused.append(error)
        else:
            usable.append(channel)
    if not usable:
        raise refused[0]
    return tuple(usable)


def _decomposed(
    recording: Recording, channels: Sequence[int], plan: NeedlePlan
) -> tuple[Conditioned, Model]:
    signals = [
        _with_noise(
            condition(recording.samples_uv[:, k], recording.rate_hz, recording.start_s, plan)
        )
        for k in channels
    ]
    model, work = decompose(stacked(signals), plan)
    return work, model


def _with_noise(signal: Conditioned) -> Conditioned:
    """Return a signal with the least noise that is believed, if it has less; the same each time."""
    length = max(1, round(PIECE_S * signal.rate_hz))
    n = signal.samples.size // length
    pieces = signal.samples[: n * length].reshape(n, length)
    quiet = float(np.min(np.std(pieces, axis=1), initial=np.inf))
    least = LEAST_NOISE * float(np.std(signal.samples))
    if quiet >= least:
        return signal
    sd = float(np.sqrt(least**2 - quiet**2))
    noise = stream(0, "least noise").normal(0.0, sd, signal.samples.size)
    return replace(signal, samples=signal.samples + noise)


def _found(
    recording: Recording,
    channel: int,
    model: Model,
    work: Conditioned,
    trains_s: list[Floats],
    voluntary: Sequence[int],
) -> tuple[FoundUnit, ...]:
    """Turn the voluntary ones of the model's units into findings, the largest potential first.

    The others are found again at rest; here they are only taken off the potentials.
    """
    if not voluntary:
        return ()
    waves = muaps.averaged(recording, trains_s)
    sure, apart = confidences(work, model), decomposability(model)
    measured: Sequence[QuantifiedMuap | None] = [None] * len(trains_s)
    if recording.rate_hz >= SLOWEST_RATE_HZ:
        measured = quantified(recording, trains_s, channel, resamples=RESAMPLES)
    sizes = [float(np.ptp(wave[:, channel])) for wave in waves]
    order = sorted(voluntary, key=lambda k: -sizes[k])
    return tuple(
        FoundUnit(
            id=number,
            discharge_times_s=trains_s[k],
            muap_uv=waves[k],
            muap_start_s=muaps.start_s(recording.rate_hz),
            measures={
                **train_measures(trains_s[k]),
                "peak_to_peak_uv": sizes[k],
                "decomposability": float(apart[k]),
                **_muap(measured[k]),
                **_jitter(recording, channel, trains_s, k),
            },
            intervals=_intervals(measured[k]),
            confidence=sure[k],
        )
        for number, k in enumerate(order, start=1)
    )


def _muap(measured: QuantifiedMuap | None) -> dict[str, float]:
    if measured is None:
        return {}
    return {
        **measured.measures,
        "jiggle_cad": measured.jiggle.cad,
        "jiggle_ccc": measured.jiggle.ccc,
    }


def _jitter(recording: Recording, channel: int, trains_s: list[Floats], k: int) -> dict[str, float]:
    """Return jitter and blocking of a unit's fibre pairs, where the electrode can tell fibres."""
    if recording.channels[channel].kind != "single_fibre" or recording.rate_hz < SLOWEST_RATE_HZ:
        return {}
    others = [train for other, train in enumerate(trains_s) if other != k]
    pairs = jitter_pairs(recording, trains_s[k], channel, others_s=others)
    if not pairs:
        return {}
    return {
        "fibre_pairs": float(len(pairs)),
        "mcd_us": float(np.mean([pair.mcd_us for pair in pairs])),
        "blocked_share": float(np.mean([pair.blocking_share for pair in pairs])),
    }


def _intervals(measured: QuantifiedMuap | None) -> dict[str, tuple[float, float]]:
    return {} if measured is None else measured.intervals


def _is_voluntary(times_s: Floats, events: Sequence[Event]) -> bool:
    """Tell whether a unit discharges within contractions, and not by itself."""
    inside = np.zeros(times_s.size, dtype=np.bool_)
    for event in events:
        if event.kind == "contraction":
            inside |= (times_s >= event.onset_s) & (times_s <= event.offset_s)
    return bool(inside.size and inside.mean() >= VOLUNTARY_SHARE)
