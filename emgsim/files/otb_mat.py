"""Exports of OTBiolab+ (OT Bioelettronica) to MATLAB: matrix EMG, often with its decomposition.

The file's variables are ``Data`` (a column for each signal), ``Description`` (a text for each
column) and ``SamplingFrequency``, as openhdemg documents them for OTBiolab+ 1.5.3 to 1.5.9; no
manual of the maker that we know of does. Columns are told apart by their text: ``Decomposition of``
is a unit's discharges as zeros and ones, ``Source for decomposition``, ``acquired data`` and
``performed path`` are no EMG, anything else is. Discharges stand where the export has them;
openhdemg moves them back by the decomposition's extension factor, 8 samples if nobody says
otherwise, which the file does not tell.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from emgsim.files.content import Content, Mark, Signal

MAGIC = b"MATLAB 5"
HDF5_MAGIC = b"MATLAB 7"
VARIABLES = ("Data", "Description", "SamplingFrequency")
NO_EMG = ("source for decomposition", "acquired data", "performed path")
DISCHARGES = "decomposition of"
UNIT = re.compile(r"\s*\[([^\[\]]{1,12})\]\s*$")  # "Biceps - GR08MM1305 (12)[mV]"


def read_otb_mat(data: bytes) -> Content:
    """Read a file's bytes: its EMG columns, and its units' discharges as marks ``MU 1``, ``MU 2``.

    A column whose text ends in no unit has none: the scale to microvolts is then needed.

    Raises
    ------
    ValueError
        If the file is damaged, of another kind, or its variables do not fit each other.
    """
    if data.startswith(HDF5_MAGIC):
        raise ValueError("MATLAB files of version 7.3 are not read: save it again with -v7")
    table = _variables(data)
    values, texts, rate_hz = _checked(table)
    columns = list(zip(texts, values.T, strict=True))
    trains = [column for text, column in columns if text.lower().startswith(DISCHARGES)]
    signals = [
        Signal(name=UNIT.sub("", text), unit=_unit(text), rate_hz=rate_hz, values=column)
        for text, column in columns
        if not any(words in text.lower() for words in NO_EMG)
        and not text.lower().startswith(DISCHARGES)
    ]
    return Content(signals=tuple(signals), marks=tuple(_marks(trains, rate_hz)))


def _variables(data: bytes) -> dict[str, Any]:
    from scipy.io import loadmat

    stream: Any = io.BytesIO(data)  # which the type stubs of scipy leave out
    try:
        # A damaged file makes its reader raise errors of many kinds.
        table: dict[str, Any] = loadmat(stream, simplify_cells=True, variable_names=list(VARIABLES))
    except Exception as error:
        raise ValueError(f"the MATLAB file is damaged: {error}") from error
    missing = [name for name in VARIABLES if name not in table]
    if missing:
        raise ValueError(
            f"an export of OTBiolab+ has {', '.join(VARIABLES)}; this file has no {missing[0]}"
        )
    return table


def _checked(table: dict[str, Any]) -> tuple[np.ndarray[Any, Any], list[str], float]:
    """Return samples ``(n_samples, n_columns)``, the columns' texts, and the rate."""
    values = np.asarray(table["Data"])
    if values.ndim == 1 and values.dtype.kind in "fiu":
        values = values[:, None]
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise ValueError(f"Data must be one table of numbers, got {values.dtype} {values.shape}")
    texts = [str(text).strip() for text in np.atleast_1d(table["Description"]).ravel()]
    if len(texts) != values.shape[1]:
        raise ValueError(f"Description must have {values.shape[1]} texts, got {len(texts)}")
    rate = np.asarray(table["SamplingFrequency"])
    if rate.size != 1 or rate.dtype.kind not in "fiu" or not float(rate.reshape(())) > 0:
        raise ValueError(
            f"SamplingFrequency must be one number > 0, got {table['SamplingFrequency']}"
        )
    return values.astype(np.float64), texts, float(rate.reshape(()))


def _unit(text: str) -> str:
    found = UNIT.search(text)
    return found[1].strip() if found else ""


def _marks(trains: list[np.ndarray[Any, Any]], rate_hz: float) -> Iterator[Mark]:
    """Yield the discharges of all units in the order of their times."""
    found = [
        (int(sample), number)
        for number, train in enumerate(trains, 1)
        for sample in np.flatnonzero(train > 0)
    ]
    for sample, number in sorted(found):
        yield Mark(onset_s=sample / rate_hz, duration_s=0.0, text=f"MU {number}")
