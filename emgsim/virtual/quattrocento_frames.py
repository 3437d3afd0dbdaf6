"""What a Quattrocento sends: a sample of all channels after the other, 16-bit words, little-endian.

First the active IN with 16 channels each, then the active MULTIPLE IN with 64, then AUX IN with 16,
then 8 accessory channels: the counter of samples modulo 65 536, the trigger, one without use, the
free space of the buffer, and four without use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import signal

AUXILIARY, ACCESSORY = 16, 8
COUNTER, TRIGGER, FREE_SPACE = -8, -7, -5  # columns
TRIGGER_HIGH = 31_767
FREE_BYTES = 32_000  # assumed: the protocol says what it counts, and not how many there are
# Assumed, as those of the profile: the protocol tells corners and no orders.
HIGHPASS_ORDER, LOWPASS_ORDER = 2, 4
MOST_CODE = 2**15 - 1


class Layout:
    """Where the plant's channels stand in a sample.

    Parameters
    ----------
    n_connected
        Number of the plant's channels, one of `SIZES`.
    inputs
        Which inputs are sent: 0 to 3, for 2, 4, 6 or 8 IN and 1 to 4 MULTIPLE IN.

    Attributes
    ----------
    sockets
        Of each input that is sent, where its channels stand in a sample, and its number among the
        twelve of a command.
    taken
        Of each of these, where the plant's channels are; None: nothing is connected.
    """

    SIZES: ClassVar[tuple[int, ...]] = (96, 192, 288, 384)

    def __init__(self, n_connected: int, inputs: int) -> None:
        there = dict(_sockets(self.SIZES.index(n_connected)))
        sent = _sockets(inputs)
        self.n_inputs = self.SIZES[inputs]
        self.sockets = [(columns, socket) for socket, columns in sent]
        self.taken = [there.get(socket) for socket, _ in sent]

    def place(self, codes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the inputs' part of each sample, of codes ``(n, n_connected)``."""
        placed = np.zeros((len(codes), self.n_inputs), np.int32)
        for (columns, _), taken in zip(self.sockets, self.taken, strict=True):
            if taken is not None:
                placed[:, columns] = codes[:, taken]
        return placed


def _sockets(inputs: int) -> list[tuple[int, slice]]:
    """Return number and columns of each active input, in their order."""
    n_small = 2 * (inputs + 1)
    small = [(k, slice(16 * k, 16 * (k + 1))) for k in range(n_small)]
    first = 16 * n_small
    large = [(8 + k, slice(first + 64 * k, first + 64 * (k + 1))) for k in range(inputs + 1)]
    return small + large


class InputFilter:
    """The filters of one input that are narrower than the plant's band, sample by sample.

    Parameters
    ----------
    columns
        Of the input.
    highpass_hz, lowpass_hz
        Corners; None: the plant's own.
    rate_hz
        Of the codes.
    """

    def __init__(
        self, columns: slice, highpass_hz: float | None, lowpass_hz: float | None, rate_hz: float
    ) -> None:
        parts = []
        if highpass_hz is not None:
            parts.append(
                signal.butter(HIGHPASS_ORDER, highpass_hz, "highpass", fs=rate_hz, output="sos")
            )
        if lowpass_hz is not None:
            parts.append(
                signal.butter(LOWPASS_ORDER, lowpass_hz, "lowpass", fs=rate_hz, output="sos")
            )
        self._columns = columns
        self._sections = np.concatenate(parts)
        n = columns.stop - columns.start
        self._state = np.zeros((len(self._sections), 2, n))

    def act(self, codes: NDArray[np.int32]) -> None:
        """Filter codes ``(n, n_inputs)`` in place."""
        if not len(codes):
            return
        passed, self._state = signal.sosfilt(
            self._sections, codes[:, self._columns].astype(np.float64), axis=0, zi=self._state
        )
        codes[:, self._columns] = np.clip(np.rint(passed), -MOST_CODE - 1, MOST_CODE)


class FrameEncoder:
    """Turn codes into the samples of one stream.

    Parameters
    ----------
    layout
        Which inputs are sent.
    keep_one_in
        How many samples of the converter make one that is sent.
    filters
        Of inputs whose band is narrower than the plant's.
    trigger_is_high
        State of the trigger.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        keep_one_in: int,
        filters: Sequence[InputFilter],
        trigger_is_high: bool,
    ) -> None:
        self._layout = layout
        self._keep_one_in = keep_one_in
        self._filters = filters
        self._trigger = TRIGGER_HIGH if trigger_is_high else 0
        self._n_converted = self._n_sent = 0

    def encode(self, codes: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Return one row of bytes per sample that is sent of codes ``(n, n_channels)``."""
        placed = self._layout.place(codes)
        for one in self._filters:
            one.act(placed)
        kept = placed[-self._n_converted % self._keep_one_in :: self._keep_one_in]
        self._n_converted += len(codes)
        words = np.zeros((len(kept), self._layout.n_inputs + AUXILIARY + ACCESSORY), "<i2")
        words[:, : self._layout.n_inputs] = kept
        counters = self._n_sent + np.arange(len(kept))
        words[:, COUNTER] = (counters % 2**16).astype("<u2").view("<i2")
        words[:, TRIGGER] = self._trigger
        words[:, FREE_SPACE] = FREE_BYTES
        self._n_sent += len(kept)
        return words.view(np.uint8)
