"""One way to read a recording, whatever its file's format; the content decides, not the name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from emgsim.errors import InputError
from emgsim.files.bids import bids_root, read_bids
from emgsim.files.content import Content, places, recording_of, truth_of, truth_of_channels
from emgsim.files.edf import BDF_MAGIC, EDF_MAGIC, read_edf
from emgsim.files.npz import read_npz
from emgsim.files.otb_mat import HDF5_MAGIC, read_otb_mat
from emgsim.files.otb_mat import MAGIC as MAT_MAGIC
from emgsim.files.wav import MAGIC as WAV_MAGIC
from emgsim.files.wav import read_wav
from emgsim.files.wfdb import HEADER, read_wfdb
from emgsim.recording import Recording, Truth

NPZ_MAGIC = b"PK"
BY_BYTES = {
    EDF_MAGIC: read_edf,
    BDF_MAGIC: read_edf,
    WAV_MAGIC: read_wav,
    MAT_MAGIC: read_otb_mat,
    HDF5_MAGIC: read_otb_mat,
}
FORMATS = "npz, EDF or BDF, WAV, MATLAB of OTBiolab+, a WFDB header (.hea), or one of a BIDS tree"


def read_recording(
    path: Path, *, channels: Sequence[str] = (), scale_uv_per_unit: float | None = None
) -> tuple[Recording, Truth | None]:
    """Read a recording in microvolts, with what its file says of the truth.

    Parameters
    ----------
    path
        An .npz, EDF, EDF+, BDF, BDF+ or WAV file, a MATLAB export of OTBiolab+, a WFDB record's
        header or signal file, or a recording of a BIDS tree, whose sidecars are then read too.
    channels
        Names of those wanted, in this order. Without any: every voltage at the highest rate.
    scale_uv_per_unit
        Microvolts per unit of channels whose unit is no voltage: of full scale in a WAV file.

    Returns
    -------
    recording : Recording
        NaN where the file has no samples; such runs are its gaps.
    truth : Truth or None
        That of the simulator, or a real file's annotations: see `emgsim.files.content.truth_of`.

    Raises
    ------
    InputError
        If the file is missing, of no known format, damaged, cut off, or not in volts.
    """
    try:
        if not path.is_dir() and path.suffix != HEADER and _magic(path).startswith(NPZ_MAGIC):
            return _from_npz(path, channels, scale_uv_per_unit)
        if bids_root(path) is not None:
            return read_bids(path, channels=channels, scale_uv_per_unit=scale_uv_per_unit)
        content = _content(path)
        recording = recording_of(content, channels, scale_uv_per_unit)
        return recording, truth_of(content.marks, recording)
    except OSError as error:
        raise InputError(
            f"cannot read the recording: {error.strerror or error}",
            where=str(error.filename or path),
            todo=f"name a recording: {FORMATS}",
        ) from error
    except (ValueError, OverflowError, MemoryError) as error:
        raise InputError(
            f"invalid recording: {error or 'it does not fit into the memory'}",
            where=str(path),
            todo=_todo(str(error)),
        ) from error


def _todo(said: str) -> str:
    if "scale to microvolts" in said:
        return "give --scale UV_PER_UNIT, microvolts per unit (WAV: per full scale)"
    if "channel is called" in said or "must have one rate" in said:
        return "choose with --channel NAME"
    return "export it again, or look at it with its own software"


def _magic(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def _content(path: Path) -> Content:
    beside = path.with_suffix(HEADER)
    if path.suffix == HEADER:
        return read_wfdb(path)
    begins = _magic(path)
    for magic, read in BY_BYTES.items():
        if begins.startswith(magic):
            return read(path.read_bytes())
    if beside.is_file():
        return read_wfdb(beside)
    raise ValueError(f"the format is not known; it must be {FORMATS}")


def _from_npz(
    path: Path, channels: Sequence[str], scale_uv_per_unit: float | None
) -> tuple[Recording, Truth | None]:
    recording, truth = read_npz(path)
    if scale_uv_per_unit is not None:
        raise ValueError("an .npz recording is in microvolts: a scale would contradict it")
    if not channels:
        return recording, truth
    kept = places([channel.name for channel in recording.channels], channels)
    recording = replace(
        recording,
        samples_uv=recording.samples_uv[:, kept],
        channels=tuple(recording.channels[k] for k in kept),
    )
    return recording, None if truth is None else truth_of_channels(truth, kept)
