"""What a rig file declares of a bench, as the tests of an amplifier know it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from emgsim.bench.exposure import device_limits
from emgsim.bench.levels import HEADROOM
from emgsim.bench.parts import Certificate, FixtureState
from emgsim.bench.rig import THROUGH, Rig
from emgsim.errors import UsageError
from emgsim.instruments.base import SourceCaps
from emgsim.metrology.setup import Known, Setup, SourceSheet, State

DECLARED_BAND_HZ = 10_000.0  # of the source's noise
MARGIN = 1.03  # what the generator's filter and the lift of its hold may add to a sine


def setup_of(rig: Rig, source: SourceCaps, today: date) -> Setup:
    """Return what is declared of a rig.

    Parameters
    ----------
    rig
        Its device profile, its states and their certificates.
    source
        What its generator can do.
    today
        A certificate that was due before is expired.
    """
    noise_v = 1e-3 * rig.source.noise_mv_rms
    sheet = SourceSheet(
        gain=_known(rig.source.certificate, today),
        clock=_known(rig.source.clock_certificate, today),
        max_rate_hz=source.max_rate_hz,
        min_rate_hz=source.min_rate_hz,
        max_points=source.max_points,
        max_vpp_open_v=min(source.max_vpp_open_v, 2 * rig.limits.source_v_pk),
        code_bits=source.code_bits,
        noise_v2_hz=noise_v**2 / DECLARED_BAND_HZ,
        distortion_db=rig.source.distortion_db,
    )
    states = {THROUGH: rig.fixture.through, **rig.fixture.states}
    return Setup(
        device=rig.profile,
        source=sheet,
        states={name: _state(rig, name, state, sheet, today) for name, state in states.items()},
        temperature_k=rig.fixture.temperature_k,
    )


def refuse_uncertified(rig: Rig, states: Iterable[str]) -> None:
    """Refuse to measure through what nobody has calibrated; all of it is named at once.

    Parameters
    ----------
    rig
        With or without certificates.
    states
        Those that are to be used; one that the fixture does not have is passed over.

    Raises
    ------
    UsageError
        If the source, its clock, or a state's transfer or impedance has no certificate.
    """
    missing = [*_uncertified(rig, states)]
    if missing:
        raise UsageError(
            f"nobody has certified {', '.join(missing)}: a value that rests on it would have no "
            "uncertainty",
            where=f"rig {rig.id}",
            todo="calibrate it, and put its certificate (id, issued, due, expanded_uncertainty) "
            f"into the rig file: [{missing[0]}]",
        )


def _uncertified(rig: Rig, states: Iterable[str]) -> Iterator[str]:
    """Yield the tables that are missing in a rig file."""
    if rig.source.certificate is None:
        yield "source.certificate"
    if rig.source.clock_certificate is None:
        yield "source.clock_certificate"
    known = {THROUGH: rig.fixture.through, **rig.fixture.states}
    for name in sorted({*states} & {*known}):
        state = known[name]
        table = "fixture" if name == THROUGH else f"fixture.states.{name}"
        if (state.differential or state.common) and state.certificate is None:
            yield f"{table}.certificate"
        if state.series_ohm and state.impedance_certificate is None:
            yield f"{table}.impedance_certificate"


def _known(certificate: Certificate | None, today: date) -> Known:
    if certificate is None:
        return Known()
    points = certificate.points
    return Known(
        certificate=certificate.id,
        frequencies_hz=tuple(point.frequency_hz for point in points) or (1.0,),
        relative=tuple(point.relative for point in points) or (1.0,),
        expanded=tuple(p.expanded_uncertainty for p in points)
        or (certificate.expanded_uncertainty,),
        has_expired=certificate.has_expired(today),
    )


def _state(rig: Rig, name: str, state: FixtureState, sheet: SourceSheet, today: date) -> State:
    electrode = rig.fixture if state.has_electrode else None
    return State(
        name=name,
        differential=state.differential,
        common=state.common,
        load_factor=rig.load_factor_in(state),
        transfer=_known(state.certificate, today),
        electrode_ohm=electrode.electrode_ohm if electrode else 0.0,
        electrode_nf=electrode.electrode_nf if electrode else 0.0,
        series_ohm=state.series_ohm,
        series_nf=state.series_nf,
        impedance=_known(state.impedance_certificate, today),
        offset_mv=state.offset_mv,
        driven=state.driven,
        largest_uv=_largest_uv(rig, state, sheet),
        null_db=state.null_db,
    )


def _largest_uv(rig: Rig, state: FixtureState, sheet: SourceSheet) -> float:
    """Return the peak that the rig allows at the device: by its limits, and by its source."""
    limit_mv, common_v = device_limits(rig, state)
    surely = 1.0 if state.certificate is None else state.certificate.at_most
    source_v = sheet.max_vpp_open_v / 2 * rig.load_factor_in(state) / HEADROOM
    if state.differential:
        allowed_uv = 1e3 * (limit_mv - abs(state.offset_mv)) / surely
        return max(0.0, min(allowed_uv, 1e6 * state.differential * source_v)) / MARGIN
    return min(1e6 * common_v / surely, 1e6 * state.common * source_v) / MARGIN
