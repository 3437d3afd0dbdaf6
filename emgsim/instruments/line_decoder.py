"""Decodes lines of text, one sample in each, into samples, gaps and a count of bad lines.

A line has a number in every column that the description names. Empty lines, comments and a line
that is the header itself are none. Any other line is bad: too few columns or too many, or
something that is no finite number. It costs its own sample, which only a counter can tell.
"""

from __future__ import annotations

import math

import numpy as np

from emgsim.instruments.base import DeviceBlock, DeviceEvent
from emgsim.instruments.frame_format import LineFormat

MAX_STEP_LINES = 1 << 16  # a longer jump of the counter is a restart, no loss


class LineDecoder:
    """Turns bytes into blocks of samples; any split of the stream gives the same samples.

    The first line of a device that no command starts is left out: it may have been cut when the
    port was opened, and look whole.

    Attributes
    ----------
    n_bad_frames
        Lines that could not be read.
    n_repeated_frames
        Lines that were the same as the one before them, counter and all; they are not taken.
    restarts
        Steps of the counter (from, to) too long for a loss, as those of frames.
    """

    def __init__(self, lines: LineFormat) -> None:
        self.n_bad_frames = 0
        self.n_repeated_frames = 0
        self.restarts: list[tuple[int, int]] = []
        self._lines = lines
        self._channels = [lines.columns.index(name) for name in lines.channels]
        self._counter = lines.columns.index(lines.counter) if lines.counter else None
        self._max_step = min(lines.counter_modulus // 2, MAX_STEP_LINES)
        self._rest = b""
        self._is_too_long = False
        self._may_be_cut = not lines.commands.start
        self._last: list[float] | None = None
        self._levels: dict[str, float] = {}
        self._next_sample = 0

    def feed(self, data: bytes) -> DeviceBlock:
        """Decode the lines that became complete with these bytes; the block may be empty."""
        rows: list[list[float]] = []
        gaps: list[tuple[int, int]] = []
        events: list[DeviceEvent] = []
        first_sample = self._next_sample
        for line in self._complete_lines(data):
            values = self._values(line)
            if values is None or self._is_repeated(values):
                continue
            lost = self._lost(values)
            if lost:
                gaps.append((first_sample + len(rows), lost))
                rows += [[0.0] * len(self._channels)] * lost
            events += self._events(values, first_sample + len(rows))
            rows.append([values[column] for column in self._channels])
            self._last = values
        self._next_sample += len(rows)
        counts = np.array(rows, np.float64).reshape(-1, len(self._channels))
        return DeviceBlock(
            counts,
            first_sample,
            tuple(gaps),
            self.n_bad_frames,
            self.n_repeated_frames,
            tuple(events),
        )

    def _complete_lines(self, data: bytes) -> list[bytes]:
        """Cut all complete lines out; of one that grows too long nothing is kept."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines and self._may_be_cut:
            lines, self._may_be_cut, self._is_too_long = lines[1:], False, False
        if lines and self._is_too_long:
            lines, self._is_too_long = lines[1:], False
            self.n_bad_frames += 1
        longest = self._lines.longest_line_bytes
        if len(self._rest) > longest:
            self._rest, self._is_too_long = b"", True
        self.n_bad_frames += sum(len(line) > longest for line in lines)
        return [line for line in lines if len(line) <= longest]

    def _values(self, line: bytes) -> list[float] | None:
        """Return one number per column; None for what is no line, or a bad one."""
        text = line.decode("latin-1").strip()
        lines = self._lines
        if not text or (lines.comment and text.startswith(lines.comment)):
            return None
        cells = text.split() if lines.separator == " " else text.split(lines.separator)
        cells = [cell.strip() for cell in cells]
        if tuple(cells) == lines.columns:
            return None
        values = [_number(cell, lines.decimal_point) for cell in cells]
        known = [value for value in values if value is not None]
        if len(known) != len(lines.columns) or len(values) != len(known):
            self.n_bad_frames += 1
            return None
        if self._counter is not None and not known[self._counter].is_integer():
            self.n_bad_frames += 1
            return None
        return known

    def _is_repeated(self, values: list[float]) -> bool:
        is_repeated = self._counter is not None and values == self._last
        self.n_repeated_frames += is_repeated
        return is_repeated

    def _lost(self, values: list[float]) -> int:
        """Count the lines lost before one."""
        if self._counter is None or self._last is None:
            return 0
        before, now = int(self._last[self._counter]), int(values[self._counter])
        lost = (now - before - 1) % self._lines.counter_modulus
        if lost < self._max_step:
            return lost
        self.restarts.append((before, now))
        return 0

    def _events(self, values: list[float], sample: int) -> list[DeviceEvent]:
        found = []
        for field in self._lines.fields:
            value = values[self._lines.columns.index(field.name)]
            is_told = value != 0
            if field.meaning == "ttl":
                is_told = is_told and self._levels.get(field.name, 1.0) == 0
                self._levels[field.name] = value
            if is_told:
                found.append(DeviceEvent(field.name, sample, int(value) or 1))
        return found


def _number(cell: str, decimal_point: str) -> float | None:
    """Read a finite number, or return None."""
    if decimal_point != "." and "." in cell:
        return None
    try:
        value = float(cell.replace(decimal_point, "."))
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None
