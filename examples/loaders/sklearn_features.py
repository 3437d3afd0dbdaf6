"""Ill or healthy, by a forest on four features of each second; splits by subject are the set's."""

import sys
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from emgsim.dataset.loaders import Folder


def features(dataset: Folder) -> tuple[np.ndarray, np.ndarray]:
    """Return spread, peak, slope and turns of each second, and 1 where a patient is ill."""
    rows, is_ill = [], []
    for example in dataset:
        n = round(example.rate_hz)
        for part in np.split(example.samples_uv[:, 0], range(n, len(example.samples_uv), n)):
            steps = np.diff(part)
            turns = np.mean(np.sign(steps[1:]) != np.sign(steps[:-1]))
            rows.append([part.std(), np.ptp(part), np.abs(steps).mean(), turns])
            is_ill.append(not example.labels["is_healthy"])
    return np.array(rows), np.array(is_ill, int)


if __name__ == "__main__":
    parts = {split: features(Folder(Path(sys.argv[1]), split=split)) for split in ("train", "test")}
    forest = RandomForestClassifier(random_state=0).fit(*parts["train"])
    print("accuracy", forest.score(*parts["test"]))
