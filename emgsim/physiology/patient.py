"""A patient: one muscle as its seed made it, and its potentials wherever the needle listens.

Nothing is built before it is asked for, and everything is kept: a unit that is recruited later, a
second contraction, or another second of the same one costs only what is new.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.body import Body
from emgsim.physiology.electrodes import channels
from emgsim.physiology.fibres import UnitFibres, place_unit
from emgsim.physiology.parameters import ElectrodeKind, Muscle, TipPosition
from emgsim.physiology.parameters.surface import SkinElectrode, SurfaceKind
from emgsim.physiology.potential import Electrode
from emgsim.physiology.spontaneous.field import source_wave_uv
from emgsim.physiology.spontaneous.source import Source
from emgsim.physiology.voices import Sampling, Voices, unit_voices, voices_of
from emgsim.seeds import stream

Voice = int | str  # a motor unit by its order, a source of spontaneous activity by its name


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
    body
        The muscle as conditions have left it; None: healthy, each unit placed when it is heard.
    """

    muscle: Muscle
    electrode: ElectrodeKind | SurfaceKind
    sampling: Sampling
    seed: int
    body: Body | None = None
    _fibres: dict[int, UnitFibres] = field(default_factory=dict, repr=False, compare=False)
    _channels: dict[TipPosition, tuple[Electrode, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _voices: dict[tuple[Voice, TipPosition], tuple[Voices, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def healthy(self) -> Muscle:
        """The muscle before all conditions."""
        return self.muscle if self.body is None else self.body.healthy

    @property
    def twitch_share(self) -> NDArray[np.float64] | None:
        """Twitch force of each unit over the healthy one's, ``(n_units,)``; None: all of it."""
        return None if self.body is None else self.body.twitch_share

    def fibres(self, order: int) -> UnitFibres:
        """Return the fibres of unit ``order`` (0 = smallest)."""
        if self.body is not None:
            return self.body.units[order]
        if order not in self._fibres:
            rng = stream(self.seed, "muscle", order)
            self._fibres[order] = place_unit(self.muscle, order, rng)
        return self._fibres[order]

    def end_plates(self, order: int) -> NDArray[np.int64]:
        """Return the end plate of each fibre of a unit; those of one number share it."""
        if self.body is not None:
            return self.body.end_plates[order]
        return np.arange(self.fibres(order).n_fibres)

    def channels(self, tip: TipPosition) -> tuple[Electrode, ...]:
        """Return the electrode's channels at a place."""
        if tip not in self._channels:
            if isinstance(self.electrode, SkinElectrode):
                raise ValueError(f"electrode must be in the muscle, got {self.electrode.kind}")
            self._channels[tip] = channels(self.electrode, tip)
        return self._channels[tip]

    def voices(self, order: int, tip: TipPosition) -> tuple[Voices, ...]:
        """Return what each channel hears of a unit with the tip at a place."""
        key = (order, tip)
        if key not in self._voices:
            fibres, medium = self.fibres(order), self.muscle.medium
            self._voices[key] = tuple(
                unit_voices(fibres, channel, medium, self.sampling)
                for channel in self.channels(tip)
            )
        return self._voices[key]

    def source_voices(self, source: Source, tip: TipPosition) -> tuple[Voices, ...]:
        """Return what each channel hears of a source of spontaneous activity."""
        key = (source.name, tip)
        if key not in self._voices:
            medium, sampling = self.muscle.medium, self.sampling
            waves = [source_wave_uv(source, c, medium, sampling) for c in self.channels(tip)]
            self._voices[key] = tuple(voices_of(w, source.fibres, sampling) for w in waves)
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
        if fibres.n_fibres == 0:
            return np.inf
        return float(np.min(np.hypot(fibres.x_mm - tip.x_mm, fibres.y_mm - tip.y_mm)))
