"""European Data Format and its kin: EDF, EDF+C, EDF+D, BDF, BDF+C, BDF+D.

After Kemp et al. 1992 (Electroencephalogr Clin Neurophysiol 82:391) and Kemp & Olivan 2003 (Clin
Neurophysiol 114:1755). A reader of our own: it places the records of a discontinuous file and
refuses what does not add up, where the libraries that we tried mend it with a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.files.content import MOST_SAMPLES, Content, Mark, Signal

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

EDF_MAGIC = b"0       "
BDF_MAGIC = b"\xffBIOSEMI"
HEAD = 256  # bytes of the file's header, and of each signal's
FIELDS = {  # bytes of each field of the signals' headers, in their order
    "label": 16,
    "transducer": 80,
    "unit": 8,
    "physical_min": 8,
    "physical_max": 8,
    "digital_min": 8,
    "digital_max": 8,
    "filter": 80,
    "n_per_record": 8,
    "reserved": 32,
}
ONSET = re.compile(rb"[+-]\d{1,12}(?:\.\d{0,15})?")
DURATION = re.compile(rb"\d{1,12}(?:\.\d{0,15})?")


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """What the header says of the records that follow it."""

    sample_bytes: int
    n_records: int
    record_s: float
    is_continuous: bool
    signals: tuple[dict[str, str], ...]
    n_per_record: tuple[int, ...]

    @property
    def record_bytes(self) -> int:
        return self.sample_bytes * sum(self.n_per_record)

    def is_annotation(self, k: int) -> bool:
        return self.signals[k]["label"] in ("EDF Annotations", "BDF Annotations")


def read_edf(data: bytes) -> Content:
    """Read a file's bytes: signals in their units, annotations as marks.

    Records of a discontinuous file stand at the nearest sample of their time, and what lies between
    them is NaN.

    Raises
    ------
    ValueError
        If the header does not hold, or the file is not as long as it says.
    """
    layout = _layout(data)
    first_byte = HEAD * (1 + len(layout.signals))
    n_bytes = layout.n_records * layout.record_bytes
    records = np.frombuffer(data, np.uint8, n_bytes, first_byte)
    records = records.reshape(layout.n_records, layout.record_bytes)
    starts_s, marks = _annotations(layout, records)
    start_s = float(starts_s[0]) if starts_s.size else 0.0
    if layout.is_continuous or not starts_s.size:
        starts_s = np.asarray(start_s + layout.record_s * np.arange(layout.n_records), np.float64)
    ordinary = [k for k in range(len(layout.signals)) if not layout.is_annotation(k)]
    if ordinary and not layout.record_s > 0:
        raise ValueError(f"a data record must last > 0 s, got {layout.record_s:g}")
    return Content(
        signals=tuple(_signal(layout, records, starts_s - start_s, k) for k in ordinary),
        start_s=start_s,
        marks=tuple(marks),
    )


def _layout(data: bytes) -> _Layout:
    is_bdf = data[:8] == BDF_MAGIC
    if len(data) < HEAD or not (is_bdf or data[:8] == EDF_MAGIC):
        raise ValueError(f"an EDF or BDF header has {HEAD} bytes, this file {len(data)}")
    n_signals = _whole("the number of signals", data[252:256])
    if not 1 <= n_signals <= 9999:
        raise ValueError(f"the file must have a channel, got {n_signals}")
    n_head = HEAD * (1 + n_signals)
    said = _whole("the header's length", data[184:192])
    if said != n_head or len(data) < n_head:
        raise ValueError(
            f"the header of {n_signals} signals has {n_head} bytes, it says {said}, "
            f"and the file has {len(data)}"
        )
    signals = tuple(_fields(data[HEAD:n_head], n_signals))
    n_per_record = tuple(
        _whole(f"samples per record of {s['label']!r}", s["n_per_record"].encode()) for s in signals
    )
    if min(n_per_record) < 0:
        raise ValueError(f"samples per record must be >= 0, got {min(n_per_record)}")
    reserved = _text(data[192:236])
    layout = _Layout(
        sample_bytes=3 if is_bdf else 2,
        n_records=_whole("the number of records", data[236:244]),
        record_s=_number("the length of a record", _text(data[244:252])),
        is_continuous=reserved[:5] not in ("EDF+D", "BDF+D"),
        signals=signals,
        n_per_record=n_per_record,
    )
    if not layout.record_bytes:
        raise ValueError("the rate of every channel is 0 Hz: no record holds a sample")
    n_there = len(data) - n_head
    if n_there != layout.n_records * layout.record_bytes:
        raise ValueError(
            f"the header promises {layout.n_records} records of {layout.record_bytes} bytes, "
            f"{n_there} bytes are there: the file is truncated, or was never closed"
        )
    return layout


def _fields(heads: bytes, n_signals: int) -> Iterator[dict[str, str]]:
    """Return each signal's fields: the header holds them field by field, not by signal."""
    for k in range(n_signals):
        table, start = {}, 0
        for name, width in FIELDS.items():
            place = start + k * width
            table[name] = _text(heads[place : place + width])
            start += n_signals * width
        yield table


def _signal(layout: _Layout, records: Bytes, after_s: Floats, k: int) -> Signal:
    """Return one signal; ``after_s`` is when each record began after the first one."""
    head, n = layout.signals[k], layout.n_per_record[k]
    name = head["label"] or f"channel {k + 1}"
    rate_hz = n / layout.record_s
    values = _calibrated(name, head, _counts(layout, records, k)).reshape(len(records), n)
    if not layout.is_continuous:
        values = _placed(values, after_s, rate_hz)
    return Signal(
        name=name,
        unit=head["unit"],
        rate_hz=rate_hz,
        values=values.reshape(-1),
        words=head["transducer"],
    )


def _counts(layout: _Layout, records: Bytes, k: int) -> NDArray[np.int32]:
    raw = _own_bytes(layout, records, k)
    parts = raw.reshape(-1, layout.sample_bytes).astype(np.int32)
    shifts = 8 * np.arange(layout.sample_bytes, dtype=np.int32)
    counts = np.sum(parts << shifts, axis=1, dtype=np.int32)
    top = 1 << (8 * layout.sample_bytes - 1)
    return np.asarray((counts ^ top) - top)  # the highest bit is the sign


def _own_bytes(layout: _Layout, records: Bytes, k: int) -> Bytes:
    first = layout.sample_bytes * sum(layout.n_per_record[:k])
    return records[:, first : first + layout.sample_bytes * layout.n_per_record[k]]


def _calibrated(name: str, head: dict[str, str], counts: NDArray[np.int32]) -> Floats:
    low, high = (_number(f"the physical range of {name!r}", head[f"physical_{e}"]) for e in MIN_MAX)
    least, most = (_number(f"the digital range of {name!r}", head[f"digital_{e}"]) for e in MIN_MAX)
    if least >= most or low == high:
        raise ValueError(
            f"{name!r} cannot be calibrated: digital {least:g}..{most:g} is {low:g}..{high:g}"
        )
    return np.asarray(low + (counts - least) * ((high - low) / (most - least)), np.float64)


MIN_MAX = ("min", "max")


def _placed(values: Floats, after_s: Floats, rate_hz: float) -> Floats:
    """Return the records at their times, NaN between them."""
    n_records, n = values.shape
    firsts = np.rint(after_s * rate_hz).astype(np.int64)
    if np.any(np.diff(firsts) < n):
        raise ValueError("the records of a discontinuous file must follow each other in time")
    total = int(firsts[-1]) + n if n_records else 0
    if total > max(MOST_SAMPLES, values.size):
        raise ValueError(f"with its gaps the file would have {total} samples a channel")
    out = np.full(total, np.nan)
    out[firsts[:, None] + np.arange(n)] = values
    return out


def _annotations(layout: _Layout, records: Bytes) -> tuple[Floats, list[Mark]]:
    """Return when each record began (nothing if the file does not tell), and all annotations."""
    places = [k for k in range(len(layout.signals)) if layout.is_annotation(k)]
    starts_s: list[float] = []
    marks: list[Mark] = []
    for k in places:
        for row in _own_bytes(layout, records, k):
            lists = [_timed(part) for part in row.tobytes().split(b"\0") if part]
            if k == places[0]:  # its first list tells the record's own time
                if not lists:
                    raise ValueError("a data record lacks its time")
                starts_s.append(lists[0][0])
            marks += [
                Mark(onset_s=onset_s, duration_s=duration_s, text=text)
                for onset_s, duration_s, texts in lists
                for text in texts
                if text
            ]
    if not (places or layout.is_continuous):
        raise ValueError("a discontinuous file must tell the time of each record")
    return np.array(starts_s), sorted(marks, key=lambda mark: mark.onset_s)


def _timed(part: bytes) -> tuple[float, float, list[str]]:
    """Return onset, duration and texts of a time-stamped annotations list."""
    when, *texts = part.split(b"\x14")
    onset, _, duration = when.partition(b"\x15")
    if not (ONSET.fullmatch(onset) and (not duration or DURATION.fullmatch(duration)) and texts):
        raise ValueError(f"an annotation must begin with its time, got {part[:40]!r}")
    return float(onset), float(duration or 0.0), [text.decode("utf-8") for text in texts]


def _text(raw: bytes) -> str:
    return raw.decode("latin-1").strip(" \0")


def _whole(what: str, raw: bytes) -> int:
    try:
        return int(_text(raw))
    except ValueError:
        raise ValueError(f"{what} must be a whole number, got {_text(raw)!r}") from None


def _number(what: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{what} must be a number, got {text!r}") from None
    if not np.isfinite(value):
        raise ValueError(f"{what} must be finite, got {text!r}")
    return value
