"""BDF+ files of 24 bits, the form that EMG-BIDS recommends.

After Kemp & Olivan 2003 (EDF+, Clin Neurophysiol 114:1755) and the BDF+ page of EDFbrowser
(teuniz.net/edfbrowser/bdfplus format description). A writer of our own, since what matters here is
what libraries choose for themselves: one range for every file, so that all have one step; a length
of record that needs no padding where there is one; lost samples that are told; the same bytes on
every writing. Other people's readers are its judges (``validators/``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emgsim.recording import Channel, Recording

Counts = NDArray[np.int32]

RANGES_UV = (12_000, 120_000, 1_200_000)  # of full scale: its text fits the header's 8 characters
FULL_SCALE = 2**23 - 1  # symmetrical, so that a count of 0 is 0 uV
# Of a record: the one that leaves least to fill up; of several the first
RECORDS_S = ("1", "0.5", "0.25", "0.2", "0.1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "16")
MOST_RECORD_BYTES = 15_000_000  # EDFlib's limit for BDF
LONGEST_APPROXIMATE_S = 9
TIME_BYTES = 24  # of a record's time stamp: its onset and what ends it, in whole samples of 3 bytes
LABEL = 16  # characters
ANNOTATIONS = "BDF Annotations"


@dataclass(frozen=True, kw_only=True)
class Records:
    """How a recording is cut into records: ``n`` samples of each channel in every ``text`` s."""

    n: int
    text: str

    @property
    def rate_hz(self) -> float:
        """The rate that a reader works out from the header."""
        return self.n / float(self.text)


def write_bdf(path: Path, recording: Recording, *, subject: str = "X") -> None:
    """Write a recording as BDF+.

    A count is 1.43 nV, or ten or a hundred times as much if a sample is beyond 12 or 120 mV. The
    last record is filled up with each channel's last sample, and lost samples are written as 0: how
    long the recording is and where its gaps are must be told beside it, as `write_bids` does.

    Parameters
    ----------
    path
        Of the file; its folder must be there.
    recording
        In microvolts. A rate that no record of 8 characters holds is off by less than 1e-6 of it in
        the header.
    subject
        The patient's code: letters, digits and dashes.

    Raises
    ------
    ValueError
        If there is no sample, one is beyond 1.2 V, or not finite outside the gaps.
    OSError
        If the file cannot be written.
    """
    records = records_of(recording)
    full_scale_uv = _full_scale_uv(recording)
    counts = _counts(recording, full_scale_uv)
    n_records = -(-recording.n_samples // records.n)
    padded = np.pad(counts, ((0, n_records * records.n - len(counts)), (0, 0)), mode="edge")
    with path.open("wb") as file:
        file.write(_header(recording, records, n_records, full_scale_uv, subject))
        for k in range(n_records):
            block = padded[k * records.n : (k + 1) * records.n]
            file.write(_three_bytes(block.T.reshape(-1)))
            file.write(_time_stamp(Decimal(records.text) * k))


def records_of(recording: Recording) -> Records:
    """Return the records that have exactly the recording's rate, if any have, and least padding."""
    rate_hz, n_channels = recording.rate_hz, len(recording.channels)
    exact = [
        Records(n=round(rate_hz * float(text)), text=text)
        for text in RECORDS_S
        if _is_whole(rate_hz * float(text))
        and rate_hz * float(text) * n_channels * 3 <= MOST_RECORD_BYTES
    ]
    if not exact:
        return _nearest(recording)
    return min(exact, key=lambda records: -recording.n_samples % records.n)


def _is_whole(value: float) -> bool:
    return round(value) >= 1 and abs(value - round(value)) <= 1e-9 * value


def _nearest(recording: Recording) -> Records:
    """Return the records whose rate, their length rounded to 8 characters, is nearest."""
    rate_hz = recording.rate_hz
    longest = max(1, min(LONGEST_APPROXIMATE_S, int(recording.duration_s)))
    possible = []
    for k in range(1, longest + 1):
        n = max(1, round(rate_hz * k))
        possible.append(Records(n=n, text=f"{n / rate_hz:.6f}"[:8]))
    return min(possible, key=lambda records: abs(records.rate_hz - rate_hz))


def labels_of(channels: Sequence[Channel]) -> tuple[str, ...]:
    """Return a label for each channel: printable ASCII, at most 16 characters, no two alike."""
    labels: list[str] = []
    for number, channel in enumerate(channels, 1):
        plain = unicodedata.normalize("NFKD", channel.name).encode("ascii", "ignore").decode()
        label = re.sub(r"[^ -~]", "", plain).strip()[:LABEL].strip() or f"channel {number}"
        if label in labels or label == ANNOTATIONS:
            label = f"{label[: LABEL - 1 - len(str(number))]} {number}"
        labels.append(label)
    return tuple(labels)


def _full_scale_uv(recording: Recording) -> int:
    if recording.samples_uv.size == 0:
        raise ValueError("a BDF file must hold a sample, got none")
    largest_uv = float(np.nanmax(np.abs(recording.samples_uv), initial=0.0))
    fitting = [most for most in RANGES_UV if largest_uv <= most]
    if not fitting:
        raise ValueError(f"samples must be within {RANGES_UV[-1]} uV, got {largest_uv:g} uV")
    return fitting[0]


def _counts(recording: Recording, full_scale_uv: int) -> Counts:
    samples_uv = recording.samples_uv.copy()
    for gap in recording.gaps:
        samples_uv[gap.first_sample : gap.first_sample + gap.n_samples] = 0.0
    if not np.all(np.isfinite(samples_uv)):
        raise ValueError("samples must be finite outside the recording's gaps; mend or mark them")
    return np.rint(samples_uv * (FULL_SCALE / full_scale_uv)).astype(np.int32)


def _three_bytes(counts: Counts) -> bytes:
    """Return counts as little-endian integers of 24 bits."""
    return counts.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def _time_stamp(onset_s: Decimal) -> bytes:
    return f"+{onset_s:f}\x14\x14\0".encode().ljust(TIME_BYTES, b"\0")


def _header(
    recording: Recording, records: Records, n_records: int, full_scale_uv: int, subject: str
) -> bytes:
    """Return the header: of the file, and field by field of all signals."""
    n_signals = len(recording.channels) + 1
    head = b"\xffBIOSEMI" + "".join(
        text.ljust(width)
        for width, text in (
            (80, f"{subject} X X X"),
            (80, "Startdate X X X emgsim"),
            (8, "01.01.85"),  # as EDF+ asks of a file without a date
            (8, "00.00.00"),
            (8, str(256 * (n_signals + 1))),
            (44, "BDF+C"),
            (8, str(n_records)),
            (8, records.text),
            (4, str(n_signals)),
        )
    ).encode("ascii")
    fields = _fields(recording, records.n, full_scale_uv)
    return head + "".join(text.ljust(width) for width, text in fields).encode("ascii")


def _fields(
    recording: Recording, n_per_record: int, full_scale_uv: int
) -> Iterator[tuple[int, str]]:
    """Yield the width and the text of each field of the signals' headers."""
    channels = recording.channels
    ours = {
        "label": (16, labels_of(channels), ANNOTATIONS),
        "transducer": (80, [_plain(c.kind.replace("_", " ")) for c in channels], ""),
        "unit": (8, ["uV"] * len(channels), ""),
        "physical_min": (8, [str(-full_scale_uv)] * len(channels), "-1"),
        "physical_max": (8, [str(full_scale_uv)] * len(channels), "1"),
        "digital_min": (8, [str(-FULL_SCALE)] * len(channels), str(-FULL_SCALE - 1)),
        "digital_max": (8, [str(FULL_SCALE)] * len(channels), str(FULL_SCALE)),
        "filter": (80, [_filter(c) for c in channels], ""),
        "n_per_record": (8, [str(n_per_record)] * len(channels), str(TIME_BYTES // 3)),
        "reserved": (32, [""] * len(channels), ""),
    }
    for width, texts, of_annotations in ours.values():
        for text in (*texts, of_annotations):
            yield width, text


def _plain(text: str) -> str:
    return re.sub(r"[^ -~]", "?", text)[:80]


def _filter(channel: Channel) -> str:
    if channel.band_hz is None:
        return ""
    return "HP:{:g}Hz LP:{:g}Hz".format(*channel.band_hz)
