"""Many motor units on many channels: the sum of all discharges, a stretch of time after the other.

At the skin no single fibre is heard, so a discharge always sounds the same, and what all channels
record is a matrix product at every frequency: MUAPs times trains. Trains are put on a grid about
twice as fine as the MUAPs need by a window, whose spectrum is divided out again: discharges stand
at any instant, and the error is below 1e-7 of the MUAP (Barnett, Magland & af Klinteberg 2019, SIAM
J Sci Comput 41:C479).

The stretches lie on a grid of their own from time zero on: any length of block gives the same
bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Voice = tuple[int, ...]  # whatever tells one from the others

TAPS = 10  # of the window, in points of the trains' grid; each gives a digit
ONCE = 0.28  # share of the sampling rate that a grid as fine as the samples holds well enough
WINDOWS = 16  # in a stretch: products of matrices cost less than as many of vectors
LEAST_WINDOW = 256  # samples
QUADRATURE = 60  # points, for the window's spectrum: exact to rounding


@dataclass(frozen=True, eq=False)
class Muap:
    """A MUAP on all channels: ``uv`` is ``(n, n_channels)``, ``first`` samples after the discharge.

    Nothing of it may lie above half the sampling rate.
    """

    uv: Floats
    first: int


class Mixer:
    """The sum of all units' discharges on all channels, block by block.

    Parameters
    ----------
    n_channels
        Of the recording.
    reach
        First and last sample after a discharge that any MUAP has; the last one excluded.
    stop
        Frequency over the sampling rate above which no MUAP has anything: it is not mixed.
    """

    def __init__(self, n_channels: int, reach: tuple[int, int], stop: float = 0.5) -> None:
        self._reach = first, end = reach
        # The window spreads a discharge over whole samples before and after it.
        self._lead, length = TAPS - first, end - first + 2 * TAPS
        self._size = int(fft.next_fast_len(max(LEAST_WINDOW, 4 * length), real=True))
        self._size += self._size % 2
        self._hop = self._size - length
        self._n_bins = min(self._size // 2, int(np.ceil(stop * self._size))) + 1
        finer = 1 if stop <= ONCE else 2  # the trains' grid over the samples'
        self._window = _Window(finer, 0.98 * np.pi * TAPS * (1 - stop / finer))
        self._n_channels = n_channels
        self._spectra = np.zeros(self._shape(0), dtype=np.complex128)
        self._slots: dict[Voice, int] = {}  # of a voice among the spectra
        self._trains: dict[Voice, list[tuple[Floats, Floats]]] = {}
        self._released: set[Voice] = set()
        self._tail = np.zeros((self._size - self._hop, n_channels))
        self._ready = np.zeros((0, n_channels))
        self._ready_first = -self._lead
        self._mixed = 0  # stretches

    @property
    def stretch(self) -> int:
        """Samples of a stretch: what is mixed at once."""
        return WINDOWS * self._hop

    def wanted(self, end_sample: int) -> int:
        """Return up to which sample discharges must be known before ``end_sample`` is mixed."""
        n_stretches = -(-(end_sample + self._lead) // self.stretch)
        return max(0, n_stretches) * self.stretch

    def __contains__(self, voice: Voice) -> bool:
        return voice in self._slots and voice not in self._released

    def add_voice(self, voice: Voice, muap: Muap) -> None:
        """Take another MUAP, by which the discharges of ``voice`` sound.

        One that was released and has not left yet is kept.

        Raises
        ------
        ValueError
            If it has other channels, or is longer than the mixer's reach.
        """
        if muap.uv.ndim != 2 or muap.uv.shape[1] != self._n_channels:
            raise ValueError(f"uv: expected (n, {self._n_channels}), got {muap.uv.shape}")
        first, end = self._reach
        if muap.first < first or muap.first + len(muap.uv) > end:
            raise ValueError(
                f"a MUAP must lie within samples {first} to {end} of the mixer's reach, "
                f"got {muap.first} to {muap.first + len(muap.uv)}"
            )
        if voice in self._slots:
            self._released.discard(voice)
            return
        padded = np.zeros((self._size, self._n_channels))
        padded[muap.first + self._lead :][: len(muap.uv)] = muap.uv
        self._slots[voice], self._trains[voice] = self._free_slot(), []
        spectrum = fft.rfft(padded, axis=0)[: self._n_bins]
        spectrum /= self._window.spectrum(self._size, self._n_bins)[:, None]
        self._spectra[:, self._slots[voice]] = spectrum

    def release(self, voice: Voice) -> None:
        """Forget a voice as soon as all that it was told has sounded."""
        self._released.add(voice)

    def _free_slot(self) -> int:
        for voice in sorted(self._released):
            if not self._trains[voice]:
                self._released.remove(voice)
                del self._trains[voice]
                return self._slots.pop(voice)
        slot = len(self._slots)
        if slot == self._spectra.shape[1]:
            room = np.zeros(self._shape(max(16, 2 * slot)), dtype=np.complex128)
            room[:, :slot] = self._spectra
            self._spectra = room
        return slot

    def _shape(self, n_voices: int) -> tuple[int, int, int]:
        return self._n_bins, n_voices, self._n_channels

    def discharge(self, voice: Voice, instants: Floats, weights: Floats) -> None:
        """Take discharges of a voice, in samples since time zero, each with its weight.

        Raises
        ------
        ValueError
            If one is too late to be mixed; see `wanted`.
        """
        earliest = self._mixed * self.stretch
        if instants.min(initial=np.inf) < earliest:
            raise ValueError(
                f"discharges before sample {earliest} are mixed already, got {instants.min():g}"
            )
        self._trains[voice].append((instants, weights))

    def sound(self, samples_uv: Floats, first_sample: int) -> None:
        """Add a block ``(n_samples, n_channels)``; blocks come one after the other."""
        end = first_sample + len(samples_uv)
        while self._ready_first + len(self._ready) < end:
            self._mix()
        skip = first_sample - self._ready_first
        samples_uv += self._ready[skip : skip + len(samples_uv)]
        self._ready, self._ready_first = self._ready[skip + len(samples_uv) :], end

    def _mix(self) -> None:
        """Mix one stretch, and keep what reaches beyond it."""
        first = self._mixed * self.stretch
        rows = [
            (voice, *train)
            for voice in sorted(self._trains)  # whatever their slots: sums of one order
            if (train := self._taken(voice, first)) is not None
        ]
        out = np.zeros((self.stretch + len(self._tail), self._n_channels))
        out[: len(self._tail)] = self._tail
        if rows:
            for number, window in enumerate(self._windows(rows, first)):
                out[number * self._hop :][: self._size] += window
        self._ready = np.concatenate([self._ready, out[: self.stretch]])
        self._tail = out[self.stretch :]
        self._mixed += 1

    def _taken(self, voice: Voice, first: int) -> tuple[Floats, Floats] | None:
        """Return instants and weights of a voice within the stretch, and leave later ones."""
        told = self._trains[voice]
        if not told:
            return None
        instants, weights = (np.concatenate(parts) for parts in zip(*told, strict=True))
        now = instants < first + self.stretch
        self._trains[voice] = [] if now.all() else [(instants[~now], weights[~now])]
        return (instants[now], weights[now]) if now.any() else None

    def _windows(
        self, rows: Sequence[tuple[Voice, Floats, Floats]], first: int
    ) -> Iterator[Floats]:
        """Yield what the discharges of each window sound, ``(size, n_channels)``."""
        trains = np.zeros((len(rows), WINDOWS, self._window.finer * self._size))
        for row, (_, instants, weights) in enumerate(rows):
            window, within = np.divmod(instants - first, self._hop)
            self._window.spread(trains[row], window.astype(np.int64), within, weights)
        spectra = fft.rfft(trains, axis=2)[:, :, : self._n_bins]
        slots = [self._slots[voice] for voice, _, _ in rows]
        in_a_row = slots == list(range(len(slots)))  # the rule: no copy then
        muaps = self._spectra[:, : len(slots)] if in_a_row else self._spectra[:, slots]
        mixed = np.matmul(spectra.transpose(2, 1, 0), muaps)
        yield from fft.irfft(mixed, self._size, axis=0).transpose(1, 0, 2)


class _Window(NamedTuple):
    """What puts a discharge on the grid: ``exp(shape (sqrt(1 - x^2) - 1))``, `TAPS` points long.

    The shape is Barnett's for the share of the grid's rate at which trains are read no more.
    """

    finer: int
    shape: float

    def spread(
        self, train: Floats, window: NDArray[np.int64], within: Floats, weights: Floats
    ) -> None:
        """Add the points about each instant to a voice's trains ``(n_windows, n)``, in place.

        Point `TAPS` / 2 of the grid is the beginning of a stretch's window.
        """
        nearest = np.floor(self.finer * within).astype(np.int64)
        points = np.arange(1 - TAPS // 2, TAPS // 2 + 1)
        heights = weights[:, None] * self._height(points - (self.finer * within - nearest)[:, None])
        cells = window[:, None] * train.shape[1] + nearest[:, None] + points + TAPS // 2
        flat = train.reshape(-1)
        flat += np.bincount(cells.ravel(), weights=heights.ravel(), minlength=flat.size)

    def spectrum(self, size: int, n_bins: int) -> Complexes:
        """Return the spectrum of what `spread` makes of a discharge at the window's beginning."""
        cycles = np.arange(n_bins) / (self.finer * size)  # per point of the grid
        nodes, weights = special.roots_legendre(QUADRATURE)
        points = nodes * TAPS / 2
        waves = np.cos(2 * np.pi * cycles[:, None] * points)
        height = TAPS / 2 * waves @ (weights * self._height(points))
        return np.asarray(height * np.exp(-2j * np.pi * cycles * (TAPS // 2)))

    def _height(self, point: Floats) -> Floats:
        inside = np.maximum(0.0, 1 - (2 * point / TAPS) ** 2)
        return np.asarray(np.exp(self.shape * (np.sqrt(inside) - 1)))
