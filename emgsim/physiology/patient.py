"""A patient: one muscle as its seed made it, and its potentials wherever the needle listens.

Nothing is built before it is asked for, and everything is kept: a unit that is recruited later, a
second contraction, or another second of the same one costs only what is new.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from emgsim.physiology.electrodes import channels
from emgsim.physiology.fibres import UnitFibres, place_unit
from emgsim.physiology.parameters import ElectrodeKind, Muscle, TipPosition
from emgsim.physiology.potential import Electrode
from emgsim.physiology.voices import Sampling, Voices, voices
from emgsim.seeds import stream


@dataclass(frozen=True)
class Patient:
    """One muscle of one patient under one electrode.

    Parameters
    ----------
    muscle, electrode
        What is examined, and with what.
    sampling
        How the electrode's signal is sampled.
    seed
        Of the patient: where the fibres lie.
    """

    muscle: Muscle
    electrode: ElectrodeKind
    sampling: Sampling
    seed: int
    _fibres: dict[int, UnitFibres] = field(default_factory=dict, repr=False, compare=False)
    _channels: dict[TipPosition, tuple[Electrode, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _voices: dict[tuple[int, TipPosition], tuple[Voices, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def fibres(self, order: int) -> UnitFibres:
        """Return the fibres of unit ``order`` (0 = smallest)."""
        if order not in self._fibres:
            rng = stream(self.seed, "muscle", order)
            self._fibres[order] = place_unit(self.muscle, order, rng)
        return self._fibres[order]

    def channels(self, tip: TipPosition) -> tuple[Electrode, ...]:
        """Return the electrode's channels at a place."""
        if tip not in self._channels:
            self._channels[tip] = channels(self.electrode, tip)
        return self._channels[tip]

    def voices(self, order: int, tip: TipPosition) -> tuple[Voices, ...]:
        """Return what each channel hears of a unit with the tip at a place."""
        key = (order, tip)
        if key not in self._voices:
            fibres, medium = self.fibres(order), self.muscle.medium
            self._voices[key] = tuple(
                voices(fibres, electrode, medium, self.sampling) for electrode in self.channels(tip)
            )
        return self._voices[key]

    def forget(self, tip: TipPosition) -> None:
        """Drop what was heard at a place that the needle has left."""
        for key in [key for key in self._voices if key[1] == tip]:
            del self._voices[key]

    def keep(self, tips: Collection[TipPosition]) -> None:
        """Drop what was heard anywhere but at these places."""
        for key in [key for key in self._voices if key[1] not in tips]:
            del self._voices[key]

    def distance_mm(self, order: int, tip: TipPosition) -> float:
        """Return the distance in the cross-section from a tip to a unit's nearest fibre."""
        fibres = self.fibres(order)
        return float(np.min(np.hypot(fibres.x_mm - tip.x_mm, fibres.y_mm - tip.y_mm)))
