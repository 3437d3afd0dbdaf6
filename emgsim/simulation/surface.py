"""What electrodes on the skin hear of a patient: motor units, none of their fibres by itself.

A discharge always sounds the same there: jitter is as nothing to potentials that last milliseconds,
and fibres that block are missing with their probability. Fibrillations and end-plate activity do
not reach the skin. In a long effort fibres slow down, and their potentials last longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from emgsim.physiology.discharges import STEP_S, Epoch
from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.mixing import Mixer, Muap
from emgsim.physiology.parameters.surface import SurfaceKind
from emgsim.physiology.patient import Patient
from emgsim.physiology.skin import Heard as Potential
from emgsim.physiology.skin import Skin, muap_of
from emgsim.physiology.voices import STOP_OVER_BAND
from emgsim.recording import MotorUnit
from emgsim.simulation.heard import Heard, motor_unit

Floats = NDArray[np.float64]

SLOWER = 0.01  # of the velocity, from one MUAP of a tiring unit to its next


class SurfaceListening:
    """Electrodes on a patient's skin.

    Parameters
    ----------
    electrode, patient
        What listens to whom.

    Raises
    ------
    ValueError
        If electrode, limb and muscle do not fit each other.
    """

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

    def heard(self, threshold: Floats, until_s: float) -> Heard:
        """Return the truth until a time; ``threshold`` is that of each unit of the pool."""
        del until_s  # a surface electrode stays where it is
        return Heard(units=tuple(self._units(threshold)))

    def _units(self, threshold: Floats) -> Iterator[MotorUnit]:
        for order, times_s in sorted(self._times_s.items()):
            first, muap_uv = _mean(self._muaps[order])
            loudest = int(np.argmax(np.ptp(muap_uv, axis=0)))  # as a decomposition tells times
            unit = motor_unit(
                self._patient, order, float(threshold[order]), first, muap_uv, told_by=loudest
            )
            yield replace(unit, discharge_times_s=np.concatenate(times_s))


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
