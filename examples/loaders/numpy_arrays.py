"""A dataset as two arrays: windows of one length, and what each of them shows."""

import sys
from pathlib import Path

import numpy as np

from emgsim.dataset.loaders import Folder, Shards


def arrays(dataset: Folder | Shards, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Return samples, shape (n_windows, n_samples, n_channels), and 1 where a patient is ill."""
    windows, is_ill = [], []
    for example in dataset:
        n = round(seconds * example.rate_hz)
        for first in range(0, len(example.samples_uv) - n + 1, n):
            windows.append(example.samples_uv[first : first + n])
            is_ill.append(not example.labels["is_healthy"])
    return np.stack(windows), np.array(is_ill, int)


if __name__ == "__main__":
    x, y = arrays(Folder(Path(sys.argv[1]), split="train"), seconds=1.0)
    print(x.shape, x.dtype, y.mean())
