"""Activity of irritated or leaking end plates: noise, spikes and the nidus of a trigger point."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.parameters.spontaneous import EndPlateNoise, EndPlateSpike, TriggerPoint
from emgsim.physiology.spontaneous.rhythms import Span, log_normal, scattered, train
from emgsim.physiology.spontaneous.source import Discharges, EndPlateCurrent
from emgsim.physiology.spontaneous.surroundings import (
    Site,
    fibres_at,
    fresh_fibres,
    require_end_plates,
)

Floats = NDArray[np.float64]
Generator = np.random.Generator


def noise(activity: EndPlateNoise, site: Site, span: Span, rng: Generator) -> Iterator[Discharges]:
    """Yield end plates at the tip, each with its Poisson process of miniature potentials."""
    require_end_plates(site, site.tip.z_mm)
    for own in rng.spawn(math.ceil(activity.generators.at(activity.grade))):
        fibre = fresh_fibres(site, 1, activity.reach_mm, own, at_end_plate=True)
        yield _leak(activity, fibre, span, own)


def trigger_point(
    activity: TriggerPoint, site: Site, span: Span, rng: Generator
) -> Iterator[Discharges]:
    """Yield the leaky end plates of a nidus, evenly within its sphere."""
    tip = site.tip
    given = (activity.x_mm, activity.y_mm, activity.z_mm)
    own_place = (tip.x_mm, tip.y_mm, tip.z_mm)
    centre = np.array([b if a is None else a for a, b in zip(given, own_place, strict=True)])
    require_end_plates(site, float(centre[2]))
    for own in rng.spawn(math.ceil(activity.generators.at(activity.grade))):
        way = own.standard_normal(3)
        r_mm = activity.radius_mm * own.uniform() ** (1 / 3)
        place = centre + r_mm * way / np.linalg.norm(way)
        fibre = fibres_at(site.muscle, place[None, :2], place[2:], own)
        yield _leak(activity, fibre, span, own)


def _leak(
    activity: EndPlateNoise | TriggerPoint, fibre: UnitFibres, span: Span, rng: Generator
) -> Discharges:
    """Return the Poisson process of one end plate; sizes scatter by a gamma law."""
    times, sizes = rng.spawn(2)
    times_s = train(times, span, activity.rate_hz, 1.0)
    gains = scattered(sizes, times_s.size, activity.current_cov)
    slow = log_normal(rng, 1.0, activity.time_spread)
    current = EndPlateCurrent(
        peak_na=activity.current_na,
        rise_s=slow * activity.rise_s,
        decay_s=slow * activity.decay_s,
        length_mm=activity.length_mm,
    )
    return Discharges(fibre, times_s, span, gains, current)


def spikes(activity: EndPlateSpike, site: Site, span: Span, rng: Generator) -> Iterator[Discharges]:
    """Yield fibres that are excited where the needle is, very irregularly."""
    require_end_plates(site, site.tip.z_mm)
    for own in rng.spawn(math.ceil(activity.generators.at(activity.grade))):
        fibre = fresh_fibres(site, 1, activity.reach_mm, own, at_end_plate=True)
        rate_hz = float(np.clip(log_normal(own, activity.rate_hz, activity.rate_spread), 5.0, 50.0))
        times_s = train(own, span, rate_hz, activity.isi_cov, shortest_s=activity.shortest_s)
        yield Discharges(fibre, times_s, span)
