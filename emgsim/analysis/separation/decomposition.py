"""Motor units from high-density surface EMG: the door of this package.

Convolutive blind source separation (Holobar & Zazula 2007; Negro et al. 2016) with peel-off (Chen &
Zhou 2015), and matched filters (Klotz & Rohlen 2025) of each unit in what the others leave.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.separation.application import Filters, learned_filters
from emgsim.analysis.separation.cancellation import cancelled_sources, matched_filter
from emgsim.analysis.separation.conditioning import Conditioner, conditioner
from emgsim.analysis.separation.peeling import potentials
from emgsim.analysis.separation.picking import between_samples
from emgsim.analysis.separation.quality import (
    FEWEST,
    HIGHEST_COV,
    LEAST_SILHOUETTE,
    cov_isi,
    pulse_to_noise_db,
    silhouette,
)
from emgsim.analysis.separation.search import (
    Model,
    Search,
    searched,
    started,
)

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Effort = Literal["standard", "thorough"]

SEARCHES = {  # [P] by what a round costs, see benchmarks/surface_decomposition.py
    "standard": Search(candidates=24, rounds=7, dry_rounds=2),
    "thorough": Search(candidates=48, rounds=16, dry_rounds=3),
}


@dataclass(frozen=True, kw_only=True)
class SurfaceUnit:
    """A motor unit of a surface recording.

    A discharge's time is that of the largest absolute value of the unit's potential, on the channel
    where it is largest. ``muap_uv`` has shape ``(n_muap_samples, n_channels)`` at the
    recording's rate and begins ``muap_start_s`` from that time; NaN on channels left out.
    Silhouette and pulse-to-noise ratio are of the unit's source without the other units.
    """

    discharge_times_s: Floats
    silhouette: float
    pnr_db: float
    cov_isi: float
    muap_uv: Floats
    muap_start_s: float


@dataclass(frozen=True, kw_only=True)
class SurfaceDecomposition:
    """The units of a recording, the clearest first, and what was done to its channels.

    ``filters`` hear the same units, in the same order, in new samples; none without units.
    """

    units: tuple[SurfaceUnit, ...]
    filters: Filters | None
    conditioner: Conditioner


def decompose_surface(
    samples_uv: Floats, rate_hz: float, *, effort: Effort = "standard"
) -> SurfaceDecomposition:
    """Find the motor units of a grid recording.

    Parameters
    ----------
    samples_uv
        Shape ``(n_samples, n_channels)``, in whatever order of the electrodes. Channels that are
        flat, clipped or have missing samples are left out.
    rate_hz
        Sampling rate, best near 2 kHz: the filters see 1024 samples of all channels together.
    effort
        ``"standard"``, or ``"thorough"``: twice the candidates in each round, and rounds until
        three in a row find nothing.

    Returns
    -------
    SurfaceDecomposition
        No units if none is credible. The same samples give the same result.

    Raises
    ------
    ValueError
        If the samples are no matrix or the effort is unknown.
    NotAnalysableError
        Below 3 s, 1000 Hz or 8 good channels.
    """
    if effort not in get_args(Effort):
        raise ValueError(f"effort must be one of {', '.join(get_args(Effort))}, got {effort!r}")
    plan, samples = conditioner(samples_uv, rate_hz)
    model, whitening = searched(started(samples, rate_hz), SEARCHES[effort])
    units = _units(model, whitening, plan, samples_uv) if model.trains else []
    kept = [k for k, unit in enumerate(units) if _is_credible(unit)]
    if not kept:
        return SurfaceDecomposition(units=(), filters=None, conditioner=plan)
    kept.sort(key=lambda k: -units[k].pnr_db)
    trains = tuple(model.trains[k] for k in kept)
    clear = tuple(units[k] for k in kept)
    delays = [-unit.muap_start_s * rate_hz - model.before for unit in clear]
    model = replace(model, trains=trains, waves=model.waves[kept])
    return SurfaceDecomposition(
        units=clear, filters=learned_filters(model, plan, delays), conditioner=plan
    )


def _units(
    model: Model, whitening: Floats32, plan: Conditioner, samples_uv: Floats
) -> list[SurfaceUnit]:
    """Return what is known of each unit of a model."""
    rate_hz = model.rate_hz
    filters = [
        matched_filter(wave, whitening, density=train.size / len(model.samples))
        for wave, train in zip(model.waves, model.trains, strict=True)
    ]
    sources = cancelled_sources(model.remainder, model.trains, filters, model.before)
    used_uv = samples_uv[:, list(plan.channels)]
    centred_uv = np.asarray(used_uv - np.median(used_uv, axis=0), dtype=np.float32, order="C")
    waves_uv = potentials(centred_uv, model.trains, model.before, model.length)
    units = []
    for f, source, train, wave_uv in zip(filters, sources, model.trains, waves_uv, strict=True):
        muap_uv = np.full((len(wave_uv), samples_uv.shape[1]), np.nan)
        muap_uv[:, list(plan.channels)] = wave_uv
        largest = _largest(wave_uv)
        unit = SurfaceUnit(
            discharge_times_s=(train + largest - model.before) / rate_hz,
            silhouette=silhouette(source, rate_hz),
            pnr_db=pulse_to_noise_db(source, train + f.peak - model.before, rate_hz),
            cov_isi=cov_isi(train, rate_hz),
            muap_uv=muap_uv,
            muap_start_s=-largest / rate_hz,
        )
        units.append(unit)
    return units


def _largest(wave_uv: Floats32) -> float:
    """Return where a potential is largest, in samples, at the top of a parabola."""
    size_uv = np.abs(wave_uv)
    at, channel = np.unravel_index(int(np.argmax(size_uv)), size_uv.shape)
    return float(between_samples(size_uv[:, channel], np.array([at]))[0])


def _is_credible(unit: SurfaceUnit) -> bool:
    """Tell whether a unit passes the gates of its train and its source."""
    return (
        unit.discharge_times_s.size >= FEWEST
        and unit.silhouette >= LEAST_SILHOUETTE
        and unit.cov_isi <= HIGHEST_COV
    )
