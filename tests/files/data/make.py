"""Write the recordings of this folder with other people's software, and what it reads of them.

``pip install wfdb==4.3.1 pyedflib==0.1.42 && python make.py``. They are committed, so that the
tests need neither: wfdb brings 135 MB, and pyedflib has no wheels for Python 3.13 and later.
"""

from datetime import datetime
from pathlib import Path

import numpy as np
import pyedflib
import wfdb

HERE = Path(__file__).parent
WRITTEN = {"16": 15, "24": 23, "32": 31, "80": 7, "212": 11}  # bits of the largest count
READ = {"8": 101, "61": 202, "160": 202, "310": 136, "311": 136}  # bytes of 101 samples


def wfdb_records(expected: dict[str, np.ndarray]) -> None:
    """Write a record of each format that wfdb writes, random bytes for those it only reads."""
    rng = np.random.default_rng(1)
    for fmt, bits in WRITTEN.items():
        name = f"wfdb_{fmt}"
        counts = rng.integers(-(2**bits) + 1, 2**bits, (101, 2))
        counts[40:50] = -(2**bits)  # the format's word for "no sample"
        wfdb.wrsamp(
            name,
            fs=4000.5,
            units=["mV", "uV"],
            sig_name=["EMG needle concentric", "EMG surface"],
            d_signal=counts,
            fmt=[fmt, fmt],
            adc_gain=[200.0, 0.5],
            baseline=[0, 3],
            write_dir=str(HERE),
        )
        expected[name] = wfdb.rdrecord(str(HERE / name)).p_signal
    for fmt, n_bytes in READ.items():
        name = f"wfdb_{fmt}"
        raw = np.frombuffer(rng.bytes(n_bytes), np.uint8).copy()
        if fmt == "311":
            raw[3::4] &= 63  # the two bits that no sample has; wfdb 4.3.1 adds one of them
        (HERE / f"{name}.dat").write_bytes(raw.tobytes())
        head = f"{name} 1 4000 101\n{name}.dat {fmt} 10(7)/mV 0 0 -5\n"
        (HERE / f"{name}.hea").write_text(head)
        expected[name] = wfdb.rdrecord(str(HERE / name)).p_signal
    frames = rng.bytes(2 * 5 * 30)  # 30 frames: a sample of the first signal, four of the second
    (HERE / "wfdb_frames.dat").write_bytes(frames)
    lines = ["wfdb_frames 2 1000 30", "wfdb_frames.dat 16 100/mV", "wfdb_frames.dat 16x4 2/uV"]
    (HERE / "wfdb_frames.hea").write_text("\n".join(lines) + "\n")
    read = wfdb.rdrecord(str(HERE / "wfdb_frames"), smooth_frames=False).e_p_signal
    expected["wfdb_frames_0"], expected["wfdb_frames_1"] = read
    samples = np.array([5, 400, 1500, 2000, 70_000])
    wfdb.wrann(
        "wfdb_16",
        "atr",
        samples,
        symbol=["N", "N", "V", '"', "N"],
        aux_note=["MU 3", "MU 4", "", "contraction", "MU 3"],
        fs=4000.5,
        write_dir=str(HERE),
    )
    back = wfdb.rdann(str(HERE / "wfdb_16"), "atr")
    expected["annotation_samples"] = back.sample


def edf_files(expected: dict[str, np.ndarray]) -> None:
    """Write EDF+ and BDF+ with two rates, a signal that is no voltage, and annotations."""
    rng = np.random.default_rng(2)
    kinds = {"edf": (pyedflib.FILETYPE_EDFPLUS, 15), "bdf": (pyedflib.FILETYPE_BDFPLUS, 23)}
    for suffix, (kind, bits) in kinds.items():
        path = HERE / f"pyedflib.{suffix}"
        heads = [
            {"label": "EMG biceps", "dimension": "mV", "sample_frequency": 200,
             "physical_max": 6.0, "physical_min": -6.0, "transducer": "Concentric needle"},
            {"label": "EMG biceps", "dimension": "uV", "sample_frequency": 200,
             "physical_max": 900.0, "physical_min": -1000.0, "transducer": ""},
            {"label": "Force", "dimension": "N", "sample_frequency": 50,
             "physical_max": 100.0, "physical_min": 0.0, "transducer": ""},
        ]  # fmt: skip
        for head in heads:
            head |= {"digital_max": 2**bits - 1, "digital_min": -(2**bits), "prefilter": ""}
        with pyedflib.EdfWriter(str(path), len(heads), kind) as writer:
            writer.setStartdatetime(datetime(2026, 1, 2, 3, 4, 5))
            writer.setSignalHeaders(heads)
            writer.writeSamples([
                rng.integers(-(2**bits), 2**bits, 4 * h["sample_frequency"]).astype(np.int32)
                for h in heads
            ], digital=True)  # fmt: skip
            writer.writeAnnotation(0.5, -1, "MU 1")
            writer.writeAnnotation(1.25, 2.0, "contraction µ")
        with pyedflib.EdfReader(str(path)) as reader:
            for k in range(len(heads)):
                expected[f"{suffix}_{k}"] = reader.readSignal(k)


if __name__ == "__main__":
    read: dict[str, np.ndarray] = {}
    wfdb_records(read)
    edf_files(read)
    np.savez_compressed(HERE / "expected.npz", **read)
