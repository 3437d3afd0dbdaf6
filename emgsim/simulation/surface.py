"""What electrodes on the skin hear of a patient: motor units, none of their fibres by itself.

A discharge always sounds the same there: jitter is as nothing to potentials that last milliseconds,
and fibres that block are missing with their probability. Fibrillations and end-plate activity do
not reach the skin. In a long effort fibres slow down, and their potentials last longer. Muscles
beside the patient's own are heard through the same skin: crosstalk is simulated, not added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from emgsim.physiology.discharges import STEP_S, Epoch, discharge_epochs
from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.mixing import Mixer, Muap
from emgsim.physiology.parameters import Pool
from emgsim.physiology.parameters.surface import SurfaceKind
from emgsim.physiology.patient import Patient
from emgsim.physiology.pool import thresholds
from emgsim.physiology.skin import Heard as Potential
from emgsim.physiology.skin import Skin, muap_of
from emgsim.physiology.surface.placement import must_fit
from emgsim.physiology.voices import STOP_OVER_BAND
from emgsim.recording import MotorUnit
from emgsim.scenario import Neighbour
from emgsim.seeds import stream
from emgsim.simulation.heard import Heard, motor_unit

Floats = NDArray[np.float64]

SLOWER = 0.01  # of the velocity, from one MUAP of a tiring unit to its next


class SurfaceListening:
    """Electrodes on a patient's skin.

    Parameters
    ----------
    electrode, patient
        What listens to whom.
    neighbours
        Muscles beside the patient's own, which the electrodes hear too.

    Raises
    ------
    ValueError
        If electrode, limb and muscles do not fit each other.
    """

    def __init__(
        self, electrode: SurfaceKind, patient: Patient, neighbours: Sequence[Neighbour] = ()
    ) -> None:
        must_fit(electrode, patient.muscle)
        self._own = _MuscleListening(electrode, patient)
        self._others: list[_Other] = []
        first_id = patient.muscle.pool.n_units
        for number, neighbour in enumerate(neighbours):
            self._others.append(_other(neighbour, number, first_id, electrode, patient))
            first_id += neighbour.muscle.pool.n_units
        self.channels = self._own.channels

    @property
    def hears_units(self) -> bool:
        """Whether a motor neuron of the patient's own muscle has discharged."""
        return self._own.hears_units

    def wanted_s(self, end_sample: int) -> float:
        """Return up to which time discharges must be known before a sample is complete."""
        return max(one.wanted_s(end_sample) for one in self._listenings)

    def discharge(self, epoch: Epoch) -> None:
        """Take the discharges of an epoch, and let the neighbours go through their own."""
        self._own.discharge(epoch)
        for other in self._others:
            meanwhile = next(other.epochs, None)  # as long as the patient's, until its effort ends
            if meanwhile is not None:
                other.listening.discharge(_until(epoch.end_s, meanwhile))

    def sound(self, samples_uv: Floats, first_sample: int) -> None:
        """Add what is heard to a block ``(n_samples, n_channels)``."""
        for listening in self._listenings:
            listening.sound(samples_uv, first_sample)

    def heard(self, threshold: Floats, until_s: float) -> Heard:
        """Return the truth until a time; ``threshold`` is that of each unit of the pool.

        Units of neighbours have ids beyond the pool's.
        """
        del until_s  # a surface electrode stays where it is
        units = [*self._own.units(threshold)]
        for other in self._others:
            units += (replace(unit, id=other.first_id + unit.id) for unit in other.units())
        return Heard(units=tuple(units))

    @property
    def _listenings(self) -> list[_MuscleListening]:
        return [self._own, *(other.listening for other in self._others)]


class _MuscleListening:
    """What the electrodes hear of one muscle."""

    def __init__(self, electrode: SurfaceKind, patient: Patient) -> None:
        self._patient = patient
        self._fatigue = patient.healthy.pool.fatigue
        slowest = 1 - self._fatigue.velocity_fall
        self._skin = Skin(electrode, patient.muscle, patient.healthy, slowest)
        self.channels = self._skin.channels
        sampling = patient.sampling
        stop = sampling.band_hz * STOP_OVER_BAND / sampling.rate_hz
        self._mixer = Mixer(len(self.channels), self._skin.reach(sampling), min(stop, 0.5))
        self._tired = np.zeros(1)  # state of its filter
        self._potentials: dict[int, Potential] = {}
        self._muaps: dict[int, list[tuple[int, Muap]]] = {}  # how often each, by unit
        self._now: dict[int, tuple[int, Muap]] = {}  # velocity's step of a unit, and its MUAP
        self._times_s: dict[int, list[Floats]] = {}

    @property
    def hears_units(self) -> bool:
        """Whether a motor neuron has discharged."""
        return bool(self._times_s)

    def wanted_s(self, end_sample: int) -> float:
        """Return up to which time discharges must be known before a sample is complete."""
        return self._mixer.wanted(end_sample) / self._patient.sampling.rate_hz

    def discharge(self, epoch: Epoch) -> None:
        """Take the discharges of an epoch, each at the velocity of its time."""
        steps = self._velocity_steps(epoch)
        for order, times_s in enumerate(epoch.trains):
            if times_s.size:
                at = np.clip((times_s - epoch.start_s) / STEP_S, 0, steps.size - 1)
                self._discharge(order, times_s, steps[at.astype(np.int64)])

    def _velocity_steps(self, epoch: Epoch) -> NDArray[np.int64]:
        """Return by how many steps fibres are slower, at each step of an epoch."""
        drive = epoch.excitation / self._patient.healthy.pool.maximal_excitation
        share = 1 - np.exp(-STEP_S / self._fatigue.time_constant_s)
        tired, self._tired = signal.lfilter([share], [1, share - 1], drive, zi=self._tired)
        steps: NDArray[np.int64] = np.rint(self._fatigue.velocity_fall * tired / SLOWER).astype(int)
        return steps

    def _discharge(self, order: int, times_s: Floats, steps: NDArray[np.int64]) -> None:
        self._times_s.setdefault(order, []).append(times_s)
        for step in np.unique(steps):
            now = steps == step
            muap = self._muap(order, int(step))
            self._muaps.setdefault(order, []).append((int(now.sum()), muap))
            instants = times_s[now] * self._patient.sampling.rate_hz
            self._mixer.discharge((order, int(step)), instants, np.ones(instants.size))

    def _muap(self, order: int, step: int) -> Muap:
        """Return the MUAP of a unit that is so much slower, ready to be mixed."""
        before, sampling = self._now.get(order), self._patient.sampling
        if before is not None and before[0] == step:
            return before[1]
        if before is not None:
            self._mixer.release((order, before[0]))
        if order not in self._potentials:
            fibres = _in_the_mean(self._patient.fibres(order))
            self._potentials[order] = self._skin.heard(fibres, sampling)
        muap = muap_of(self._potentials[order], sampling, 1 - SLOWER * step)
        self._mixer.add_voice((order, step), muap)
        self._now[order] = (step, muap)
        return muap

    def sound(self, samples_uv: Floats, first_sample: int) -> None:
        """Add what is heard to a block ``(n_samples, n_channels)``."""
        self._mixer.sound(samples_uv, first_sample)

    def units(self, threshold: Floats) -> Iterator[MotorUnit]:
        """Yield the truth of each unit that has discharged; ``threshold`` is of all the pool's."""
        for order, times_s in sorted(self._times_s.items()):
            first, muap_uv = _mean(self._muaps[order])
            loudest = int(np.argmax(np.ptp(muap_uv, axis=0)))  # as a decomposition tells times
            unit = motor_unit(
                self._patient, order, float(threshold[order]), first, muap_uv, told_by=loudest
            )
            yield replace(unit, discharge_times_s=np.concatenate(times_s))


@dataclass(frozen=True, kw_only=True)
class _Other:
    """A neighbour: what is heard of it, and what its motor neurons are going to do."""

    listening: _MuscleListening
    epochs: Iterator[Epoch]
    pool: Pool
    first_id: int  # what its units' numbers, from 1, are added to

    def units(self) -> Iterator[MotorUnit]:
        """Yield the truth of each unit that has discharged."""
        return self.listening.units(thresholds(self.pool) / self.pool.maximal_excitation)


def _other(
    neighbour: Neighbour, number: int, first_id: int, electrode: SurfaceKind, patient: Patient
) -> _Other:
    """Return a neighbour under the patient's fat, as far from the electrode as it lies."""
    muscle = neighbour.muscle.model_copy(update={"fat_mm": patient.muscle.fat_mm})
    from_there = electrode.model_copy(
        update={
            "centre_across_mm": electrode.centre_across_mm - neighbour.across_mm,
            "centre_z_mm": electrode.centre_z_mm - neighbour.along_mm,
        }
    )
    seed = int(stream(patient.seed, "neighbours", number).integers(2**32))
    other = Patient(muscle=muscle, electrode=from_there, sampling=patient.sampling, seed=seed)
    return _Other(
        listening=_MuscleListening(from_there, other),
        epochs=discharge_epochs(muscle.pool, neighbour.phases, seed),
        pool=muscle.pool,
        first_id=first_id,
    )


def _until(end_s: float, epoch: Epoch) -> Epoch:
    """Return an epoch without the discharges after a time: the recording may have been cut."""
    return replace(epoch, trains=[times_s[times_s < end_s] for times_s in epoch.trains])


def _in_the_mean(fibres: UnitFibres) -> UnitFibres:
    """Return fibres that make as much as they do in the mean, some discharges being blocked.

    A potential grows with the fibre's cross-section; its velocity is told apart.
    """
    share = 1.0 - fibres.block_probability
    return replace(fibres, diameter_um=fibres.diameter_um * np.sqrt(share))


def _mean(muaps: list[tuple[int, Muap]]) -> tuple[int, Floats]:
    """Return the first sample and the mean of MUAPs, each counted as often as it sounded."""
    first = min(muap.first for _, muap in muaps)
    end = max(muap.first + len(muap.uv) for _, muap in muaps)
    total = np.zeros((end - first, muaps[0][1].uv.shape[1]))
    for n, muap in muaps:
        total[muap.first - first :][: len(muap.uv)] += n * muap.uv
    return first, total / sum(n for n, _ in muaps)
