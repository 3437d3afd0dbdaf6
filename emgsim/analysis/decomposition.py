"""From a conditioned signal to motor units: find templates, resolve, learn, prune, look again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.clustering import similar_spikes
from emgsim.analysis.conditioning import Conditioned, whitened
from emgsim.analysis.detection import floor_sd, mean_square, spikes
from emgsim.analysis.drift import drifts, pieces, rejoined, with_courses
from emgsim.analysis.identity import merged, split, without_followers
from emgsim.analysis.learning import Unit, add_discharges, relearned, unit_at
from emgsim.analysis.plan import NeedlePlan
from emgsim.analysis.resolution import Dictionary, Pursuit
from emgsim.analysis.revision import revise
from emgsim.analysis.trains import checked, intervals_of, log_density

Floats = NDArray[np.float64]

COMPARED_S = (0.0012, 0.0016)  # around a spike, when spikes are grouped
APART_S = 0.0015  # two spikes closer than this belong to one potential
REVISED_S = 0.003  # half the window in which superpositions are explained anew
ROUNDS = 5  # of looking for more units, in each of two spectra
LAST_ROUNDS = 3
# A revision that loses so many units, and leaves so much more than the one before, lost its way:
# the potentials of several are taken for one, and the next rounds make it worse
LOST, WORSE = 0.4, 1.1
FOLLOWED = 3  # rounds with templates that change
FEWEST = 8  # discharges of a unit
REGULAR_AT_FIRST = 0.5  # least share of expected intervals while units are still being found
REGULAR_AT_LAST = 0.70
LEAST_CLEAR = 500.0  # energy over variance; below it chance builds trains out of the murmur
HEAVIEST = 8.0  # mean square over robust variance: beyond it a whole unit is missing
DISTRUST = 10.0  # jitter and unseen units err in the same direction for many samples on end


@dataclass(frozen=True, kw_only=True)
class Model:
    """All units of a signal and the variance of what they do not explain."""

    before: int
    units: tuple[Unit, ...] = ()
    variance: float = 1.0
    n_channels: int = 1

    def residual(self, samples: Floats) -> Floats:
        """Return the samples without all discharges."""
        out = samples.copy()
        for unit in self.units:
            add_discharges(out, unit, self.before, -1.0)
        return out


Watch = Callable[[str, Conditioned, Model], None]


def decompose(
    signal: Conditioned, plan: NeedlePlan, watch: Watch | None = None
) -> tuple[Model, Conditioned]:
    """Find the motor units of a conditioned signal.

    Parameters
    ----------
    signal
        Band-passed, of one channel or several that are looked at together (`stacked`); it is
        whitened by the floor as soon as first units are known.
    plan
        Threshold, window and limits.
    watch
        Called with a stage's name and what is known after it.

    Returns
    -------
    model : Model
        Units with their discharges, positions in samples of ``work``.
    work : Conditioned
        The whitened signal that the templates belong to.
    """
    watch = watch or (lambda *_: None)
    before = round(plan.window_ms[0] * 1e-3 * signal.rate_hz)
    model = Model(before=before, n_channels=signal.n_channels)
    model = _all_found(signal, model, plan, watch)
    if not model.units:
        return model, signal
    work = whitened(signal, model.residual(signal.samples), plan.lowpass_hz)
    model = learned(work, learned(work, model))
    model = _all_found(work, model, plan, watch)
    for turn in range(LAST_ROUNDS):
        n = len(model.units)
        revised = learned(work, resolved(work, model, revised="thoroughly" if turn else "quickly"))
        revised = pruned(revised, work, plan, REGULAR_AT_LAST, least_clear=LEAST_CLEAR)
        if turn > 0 and lost_its_way(work, model, revised):
            break
        model = revised
        watch("revised", work, model)
        if not model.units or (turn > 0 and len(model.units) == n):
            break
    model = followed(work, model, plan)
    watch("followed", work, model)
    return model, work


def lost_its_way(work: Conditioned, before: Model, after: Model) -> bool:
    """Tell whether a revision has lost many units and explains less."""
    if len(after.units) > (1 - LOST) * len(before.units):
        return False
    return learned(work, after).variance > WORSE * learned(work, before).variance


def _all_found(work: Conditioned, model: Model, plan: NeedlePlan, watch: Watch) -> Model:
    """Look for more units in what is left until no more are found."""
    for _ in range(ROUNDS):
        grown = with_new_units(work, model, plan)
        if len(grown.units) == len(model.units):
            break
        for _ in range(2):
            grown = parted(work, learned(work, resolved(work, grown)), plan)
        n = len(model.units)
        model = pruned(grown, work, plan, REGULAR_AT_FIRST)
        watch("found", work, model)
        if len(model.units) <= n:
            break
    return model


def with_new_units(work: Conditioned, model: Model, plan: NeedlePlan) -> Model:
    """Add the groups of spikes that look alike in the residual as units."""
    residual = model.residual(work.samples)
    sd = max(floor_sd(residual, work.usable), 0.5 * np.sqrt(mean_square(residual, work.usable)))
    room = plan.max_units - len(model.units)
    if sd == 0 or room <= 0:
        return model
    rate_hz = work.rate_hz
    peaks = spikes(residual, work.usable, plan.threshold * sd, round(APART_S * rate_hz))
    reach = (round(COMPARED_S[0] * rate_hz), round(COMPARED_S[1] * rate_hz))
    length = work.n_channels * round(sum(plan.window_ms) * 1e-3 * rate_hz)
    groups = similar_spikes(residual, peaks, sd, reach, FEWEST)[:room]
    if not groups:
        return model
    fresh = [unit_at(group, length) for group in groups]
    return learned(work, replace(model, units=(*model.units, *fresh)))


def learned(work: Conditioned, model: Model) -> Model:
    """Average all templates anew and measure what is left."""
    units, residual = relearned(work.samples, model.units, model.before)
    variance = min(
        mean_square(residual, work.usable), HEAVIEST * floor_sd(residual, work.usable) ** 2
    )
    return replace(model, units=units, variance=variance)


def parted(work: Conditioned, model: Model, plan: NeedlePlan) -> Model:
    """Split what is several units, and learn the parts."""
    units = split(model.units, model.residual(work.samples), model.before, work.rate_hz)
    if len(units) == len(model.units) or len(units) > 2 * plan.max_units:
        return model
    return learned(work, replace(model, units=units))


def resolved(
    work: Conditioned, model: Model, *, revised: Literal["", "quickly", "thoroughly"] = ""
) -> Model:
    """Find all discharges of the known templates anew, superpositions revised if asked for."""
    if not model.units:
        return model
    tables = interval_tables(work, model)
    found: list[list[tuple[float, float]]] = [[] for _ in model.units]
    for piece in pieces(work, model.units):
        pursuit = pursued(piece.work, replace(model, units=piece.units), tables)
        pursuit.fill()
        if revised:
            half = round(REVISED_S * work.rate_hz)
            revise(pursuit, half, thorough=revised == "thoroughly")
            pursuit.fill()
        for discharge in sorted(pursuit.discharges.values()):
            position = discharge.position + piece.start
            if piece.first <= position < piece.last:
                found[discharge.unit].append((position, discharge.amplitude))
    units = []
    for unit, own in zip(model.units, found, strict=True):
        positions, amplitudes = np.array(own).reshape(-1, 2).T.copy()
        units.append(replace(unit, positions=positions, amplitudes=amplitudes))
    return replace(model, units=tuple(units))


def interval_tables(work: Conditioned, model: Model) -> list[Floats]:
    """Return the log density of each unit's intervals in samples."""
    trains_s = [unit.positions / work.rate_hz for unit in model.units]
    return [log_density(intervals_of(train_s), work.rate_hz) for train_s in trains_s]


def pursued(work: Conditioned, model: Model, tables: list[Floats]) -> Pursuit:
    """Return a pursuit with a model's steady templates, and no discharge yet."""
    variance = max(DISTRUST * model.variance, 1e-12)
    dictionary = Dictionary(model.units, model.before, variance, model.n_channels)
    return Pursuit(dictionary, work.samples, work.usable, tables)


def followed(work: Conditioned, model: Model, plan: NeedlePlan) -> Model:
    """Decompose anew with templates that change in time, if a unit's potential did."""
    residual = model.residual(work.samples)
    if not drifts(work, model.units, residual, model.before):
        return model
    for turn in range(FOLLOWED):
        if turn:
            model = with_new_units(work, model, plan)
        model = learned(work, replace(model, units=with_courses(work, model.units)))
        model = replace(model, units=rejoined(model.units, work.rate_hz, work.n_channels))
        model = learned(work, resolved(work, learned(work, model), revised="quickly"))
        model = pruned(model, work, plan, REGULAR_AT_LAST, least_clear=LEAST_CLEAR)
    return replace(model, units=rejoined(model.units, work.rate_hz, work.n_channels))


def pruned(
    model: Model, work: Conditioned, plan: NeedlePlan, least: float, *, least_clear: float = 0.0
) -> Model:
    """Keep the units whose trains are trains, whole ones, and no echoes of others."""
    keep = []
    for unit in merged(model.units, work.rate_hz, work.n_channels):
        train = checked(unit.positions / work.rate_hz)
        if unit.energy < least_clear * model.variance:
            continue
        if train.n >= FEWEST and train.expected >= least and train.rate_hz >= plan.min_rate_hz:
            keep.append(unit)
    return replace(model, units=without_followers(tuple(keep), work.rate_hz)[: plan.max_units])
