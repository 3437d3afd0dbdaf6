"""Every path on the scenario's clock, and what is wrong with the rig: the first look at a playback.

The diagnosis comes first, since it tells which part of a path can be trusted: a path that ceases to
follow what was played is aligned by what came before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace

import numpy as np

from emgsim import chain
from emgsim.bench.budget import (
    Row,
    device_budget,
    is_noise_limited,
    loopback_budget,
    over_budget,
    total_uv,
)
from emgsim.bench.levels import LevelPlan
from emgsim.bench.program import Program
from emgsim.bench.rig import Rig
from emgsim.diagnosis.breaks import TOO_MUCH, too_loud
from emgsim.diagnosis.findings import Diagnosis, Part
from emgsim.diagnosis.heard import Heard, of_playback
from emgsim.diagnosis.link import Linked, hang_up, link_diagnoses
from emgsim.diagnosis.rig import Diagnosed, diagnose, told
from emgsim.diagnosis.tracks import Track, followed
from emgsim.errors import NotAnalysableError
from emgsim.records.journal import Line, finite
from emgsim.running.logbook import Logbook
from emgsim.running.playback import BrokenOff
from emgsim.running.played import Floats, Played
from emgsim.running.readings import declared_device
from emgsim.stages import BandResponse
from emgsim.verdict import Measurement

Budgets = dict[str, list[Row]]


def chain_measured(
    rig: Rig, program: Program, played: Played, paths: Mapping[str, chain.Path], logbook: Logbook
) -> Iterator[Measurement]:
    """Yield what the chain did to the signal; journal the device and the noise budgets beside it.

    Parameters
    ----------
    rig, program, played, logbook
        As in `aligned`.
    paths
        Of `aligned`.
    """
    logbook.journal.append("device", values=declared_device(rig))
    for name, budget in budgets(rig, played).items():
        path = paths[name]
        yield from chain.chain_measurements(path, budget)
        rows = [*budget, {"name": "measured", "uv_rms": path.noise_uv_rms}]
        logbook.journal.append("budget", path=name, rows=rows)
    times = over_budget(chain.signal_uv(paths["device"]), budgets(rig, played)["device"])
    if is_noise_limited(times):
        logbook.progress(
            f"noise       noise-limited: the signal is {times:.3g} times the device's noise "
            "budget; what is detected counts, amplitude and shape are not judged"
        )
    yield from chain.raw_measurements(paths["device"], program)
    if "monitor" in paths:
        yield from chain.monitor_measurements(paths["monitor"])


def keep_fit(path: chain.Path, program: Program, logbook: Logbook) -> Line:
    """Journal how a path is aligned and what it does to frequencies, and return both."""
    fit = finite(asdict(replace(path.aligned, bound=None)))
    del fit["windows"], fit["bound"]  # nothing reads them again
    fit["response"] = asdict(path.response)
    values = path.table(program.recording_start_s)
    logbook.journal.append("alignment", path=path.name, values=values, fit=fit)
    return fit


def aligned(
    rig: Rig, program: Program, played: Played, duration_s: float, logbook: Logbook
) -> dict[str, chain.Path]:
    """Return loopback, device and monitor on the scenario's clock; tell what is wrong with the rig.

    A generator that is not heard at the device's analogue output has no monitor.

    Parameters
    ----------
    rig, program, played
        What was played on what, and what was captured.
    duration_s
        Length of the scenario.
    logbook
        Where the diagnoses are journalled and told.

    Raises
    ------
    NotAnalysableError
        If the playback is not found in a path; it says what is wrong instead.
    """
    heard = heard_paths(rig, program, played)
    diagnosed = diagnose(heard, begins_s=program.recording_start_s)
    track = diagnosed.tracks["device"]
    linked = _linked(rig, played.counts, played.n_bad_frames, played.n_repeated_frames)
    tell(diagnosed.diagnoses, logbook)
    tell(link_diagnoses(linked, _times_s(track, program, played.counts.size)), logbook)
    return {
        name: _path(rig, name, heard[name], program, duration_s, diagnosed, response=response)
        for name, response in _responses(rig, played).items()
        if name in heard
    }


def tell(diagnoses: Iterable[Diagnosis], logbook: Logbook) -> None:
    """Journal diagnoses, and show a line of each."""
    for diagnosis in diagnoses:
        logbook.journal.append("diagnosis", **finite(diagnosis.table()), text=str(diagnosis))
        logbook.progress(f"diagnosis   {diagnosis}")


def tell_broken_off(rig: Rig, broken_off: Iterable[BrokenOff], logbook: Logbook) -> None:
    """Tell what became of link and signals, if samples had come before a playback broke off."""
    for one in broken_off:
        if one.catch.device_blocks:
            _tell_one_broken_off(rig.of(one.source), one, logbook)


def _tell_one_broken_off(rig: Rig, broken: BrokenOff, logbook: Logbook) -> None:
    program, catch, input = broken.program, broken.catch, broken.input
    counts, last = catch.device_counts()[:, input], catch.device_blocks[-1]
    device = chain.heard_of(
        counts * rig.profile.scale_uv_per_count,
        rig.profile.rate_hz,
        program,
        noise_uv_rms=total_uv(_device_budget(rig, broken.plan)),
        response=declared(rig),
        band_hz=rig.profile.band_hz[1],
    )
    track = followed(device)
    times_s = _times_s(track, program, counts.size)
    if not broken.source:  # the link is the same for all that played together
        linked = _linked(rig, counts, last.n_bad_frames, last.n_repeated_frames)
        tell(link_diagnoses(linked, times_s), logbook)
    if catch.hung_up and not broken.source:
        at_s = None if times_s is None else float(times_s[-1])
        tell([hang_up(at_s, counts.size / rig.profile.rate_hz)], logbook)
    elif not catch.hung_up and track is not None and (loud := too_loud(track)) is not None:
        part: Part = "fixture" if loud.name == TOO_MUCH else "lead"
        tell([told(loud, "device", part, program.recording_start_s)], logbook)


def declared(rig: Rig) -> BandResponse:
    """Return the response that the rig's device declares."""
    return chain.declared_response(rig.profile)


def budgets(rig: Rig, played: Played) -> Budgets:
    """Return the noise that the rig's parts declare, by path."""
    return {
        "loopback": loopback_budget(
            played.plan, rig, rate_hz=played.scope_rate_hz, range_v=played.source_range_v
        ),
        "device": _device_budget(rig, played.plan),
    }


def _device_budget(rig: Rig, plan: LevelPlan) -> list[Row]:
    return device_budget(
        plan,
        rig,
        band_hz=rig.profile.band_hz[1],
        noise_uv_rms=rig.profile.noise_uv_rms,
        lsb_uv=rig.profile.scale_uv_per_count,
    )


def recorded_uv(rig: Rig, played: Played) -> dict[str, Floats]:
    """Return what each path recorded, in microvolts at the device's input, shape ``(n,)``."""
    uv = {
        "loopback": 1e6 * rig.fixture.ratio * played.source_v,
        "device": played.counts * rig.profile.scale_uv_per_count,
    }
    if played.monitor_v is not None:
        uv["monitor"] = 1e6 / rig.device.monitor_gain * played.monitor_v
    return uv


def heard_paths(rig: Rig, program: Program, played: Played) -> Mapping[str, Heard]:
    """Return what each path heard, in microvolts at the device's input."""
    uv = recorded_uv(rig, played)
    profile, scope_hz, noise = rig.profile, played.scope_rate_hz, budgets(rig, played)
    scale = profile.scale_uv_per_count
    device_uv, responses = total_uv(noise["device"]), _responses(rig, played)
    heard = {
        "loopback": chain.heard_of(
            uv["loopback"],
            scope_hz,
            program,
            noise_uv_rms=total_uv(noise["loopback"]),
            response=responses["loopback"],
        ),
        "device": of_playback(
            chain.heard_of(
                uv["device"],
                profile.rate_hz,
                program,
                noise_uv_rms=device_uv,
                response=responses["device"],
                band_hz=profile.band_hz[1],
                lsb_uv=scale,
                others_uv=tuple(played.others.T * scale),
            )
        ),
    }
    if "monitor" in uv:
        heard["monitor"] = chain.heard_of(
            uv["monitor"],
            scope_hz,
            program,
            noise_uv_rms=device_uv,
            response=responses["monitor"],
            band_hz=profile.band_hz[1],
        )
    return heard


def _responses(rig: Rig, played: Played) -> dict[str, BandResponse]:
    """Return what each path does to frequencies, as declared.

    A long record fills the oscilloscope's memory at a slow rate, and a point of high resolution is
    the mean of all conversions since the last one: of a single fibre's spikes it leaves 92 %.
    """
    device = declared(rig)
    return {
        "loopback": BandResponse(averaged_s=played.scope_averaged_s),
        "device": device,
        "monitor": replace(device, averaged_s=played.scope_averaged_s),
    }


def _linked(rig: Rig, counts: Floats, n_bad: int, n_repeated: int) -> Linked:
    frame = rig.profile.frame
    return Linked(
        counts=counts,
        samples_per_frame=1 if frame is None else frame.samples_per_frame,
        n_bad_frames=n_bad,
        n_repeated_frames=n_repeated,
    )


def _times_s(track: Track | None, program: Program, n: int) -> Floats | None:
    """Return the time of the ``n`` samples recorded on the scenario's clock, if it is known."""
    if track is None:
        return None
    period_s = (1 + track.fit.drift) / track.heard.rate_hz
    since_s = track.fit.offset_s - program.recording_start_s
    return np.asarray(since_s + (np.arange(n) - track.heard.n_before) * period_s, np.float64)


def _path(
    rig: Rig,
    name: str,
    heard: Heard,
    program: Program,
    duration_s: float,
    diagnosed: Diagnosed,
    *,
    response: BandResponse,
) -> chain.Path:
    """Align a path, by the part of it that follows what was played."""
    track = diagnosed.tracks[name]
    try:
        return chain.path_of(
            name,
            heard,
            program,
            duration_s=duration_s,
            response=response,
            band_hz=None if name == "loopback" else rig.profile.band_hz,
            fit=None if track is None or track.ends_s is None else track.fit,
        )
    except NotAnalysableError as error:
        if not diagnosed.diagnoses:
            raise
        raise NotAnalysableError(
            f"what was played is not in the recording of the {name}: {diagnosed.words()}",
            where=f"rig {rig.id}",
            todo=diagnosed.diagnoses[0].todo,
        ) from error
