"""What each format of a dataset costs: CPU seconds, bytes, and what is lost.

``python benchmarks/dataset_formats.py``: 64 channels of 60 s at 2048 Hz in microvolts, written and
read again in each format. The goals are what the usual libraries need for the same recording on the
machine on which they were compared (BDF+: edfio 0.4.18, 0.50 s; NWB: pynwb with int16, 1.0 s; Zarr
int32, 0.11 s), Zarr's and NWB's with room for a machine that is busy. Both are left out where their
packages are not installed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from emgsim.dataset.export.bdf import write_bdf
from emgsim.dataset.export.nwb import write_nwb
from emgsim.dataset.export.wav import write_wav
from emgsim.dataset.export.zarr_shards import ShardWriter
from emgsim.dataset.loaders import Shards
from emgsim.dataset.made import DatasetHead, Item, Made
from emgsim.errors import UsageError
from emgsim.files.npz import write_npz
from emgsim.files.reading import read_recording
from emgsim.recording import Channel, Recording, Truth

N_CHANNELS, SECONDS, RATE_HZ = 64, 60, 2048.0
HEAD = DatasetHead(
    id="costs", title="Costs", description="", licence="CC0-1.0", authors=("A. Nobody",),
    version="1.0.0",
)  # fmt: skip
ITEM = Item(
    index=0, id="0", scenario="costs", overrides=(), parameters={}, subject="1", seed=1,
    split="train",
)  # fmt: skip
# CPU seconds of writing, megabytes, nanovolts lost
GOALS = {"bdf": (0.5, 24.0, 0.72), "wav": (0.5, 24.0, 0.30), "npz": (0.2, 32.0, 0.1),
         "zarr": (0.25, 24.0, 5.05), "nwb": (2.0, 24.0, 5.05)}  # fmt: skip


def recording() -> Recording:
    """Return band-limited noise of 100 uV on every channel: no format finds it easy."""
    rng = np.random.default_rng(1)
    white = rng.normal(0, 100, (round(SECONDS * RATE_HZ) + 3, N_CHANNELS))
    samples_uv = (white[:-3] + white[1:-2] + white[2:-1] + white[3:]) / 2
    channels = tuple(Channel(name=f"array {k + 1}", kind="thin_film") for k in range(N_CHANNELS))
    return Recording(samples_uv=samples_uv, rate_hz=RATE_HZ, channels=channels)


def written_as_zarr(path: Path, made: Made) -> None:
    """Write a shard of one item."""
    with ShardWriter(path / "shard.zarr", HEAD) as writer:
        writer.add(made)


def read_uv(path: Path) -> np.ndarray:
    """Return the samples of a file that `read_recording` reads."""
    return read_recording(path)[0].samples_uv


def read_nwb_uv(path: Path) -> np.ndarray:
    """Return the samples of an NWB file in microvolts."""
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(str(path), "r") as io:
        series = io.read().acquisition["recording_clean"]
        return np.asarray(series.data[:] * (series.conversion * 1e6))


Way = tuple[str, Callable[[Path, Made], object], Callable[[Path], np.ndarray]]
WAYS: tuple[Way, ...] = (
    ("bdf", lambda p, m: write_bdf(p, m.recordings["clean"]), read_uv),
    ("wav", lambda p, m: write_wav(p, m.recordings["clean"]), read_uv),
    ("npz", lambda p, m: write_npz(p, m.recordings["clean"]), read_uv),
    ("zarr", written_as_zarr, lambda p: Shards(p)[0].samples_uv.astype(float)),
    ("nwb", lambda p, m: write_nwb(p, HEAD, m), read_nwb_uv),
)


def timed(do: Callable[[], object]) -> tuple[float, object]:
    """Return the CPU seconds of a call, and what it returned."""
    began_s = time.process_time()
    result = do()
    return time.process_time() - began_s, result


def main() -> int:
    """Print a line for each format; return 1 if a goal is missed."""
    own = recording()
    empty = Truth(units=(), muap_rate_hz=RATE_HZ)
    made = Made(item=ITEM, recordings={"clean": own}, truth=empty, labels={}, scenario={})
    missed = 0
    print(f"{N_CHANNELS} channels x {SECONDS} s x {RATE_HZ:g} Hz")
    print("format  write CPU s (goal)   read CPU s   MB (goal)      lost nV (goal)")
    for name, write, read in WAYS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"x.{name}" if name != "zarr" else Path(folder)
            try:
                timed(lambda write=write, path=path: write(path, made))  # imports
                for file in sorted(Path(folder).rglob("*")):
                    if file.is_file():
                        file.unlink()
                wrote_s, _ = timed(lambda write=write, path=path: write(path, made))
            except UsageError as error:
                print(f"{name:6s}  not installed: {error.todo}")
                continue
            n_mb = sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file()) / 1e6
            read_s, samples_uv = timed(lambda read=read, path=path: read(path))
        again_uv = np.asarray(samples_uv)[: own.n_samples]
        lost_nv = 1e3 * float(np.abs(again_uv - own.samples_uv).max())
        goals = GOALS[name]
        missed += any(v > g for v, g in zip((wrote_s, n_mb, lost_nv), goals, strict=True))
        print(f"{name:6s}  {wrote_s:9.2f} ({goals[0]:.2f})   {read_s:9.2f}"
              f"   {n_mb:7.1f} ({goals[1]:.0f})   {lost_nv:9.2f} ({goals[2]:.2f})")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
