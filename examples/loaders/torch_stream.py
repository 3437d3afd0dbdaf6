"""Items made while a network learns, each worker its own: nothing is kept on the disk."""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from emgsim.dataset.loaders import generate


class Stream(IterableDataset):
    """Samples, shape (n_channels, n_samples), microvolts, and the largest force, part of MVC."""

    def __init__(self, plan: Path) -> None:
        self.plan = plan

    def __iter__(self) -> Iterator[tuple[torch.Tensor, float]]:
        info = get_worker_info()
        worker, n_workers = (info.id, info.num_workers) if info else (0, 1)
        for example in generate(self.plan, worker=worker, n_workers=n_workers):
            yield torch.from_numpy(example.samples_uv.T.copy()), example.labels["force_max_mvc"]


if __name__ == "__main__":
    for x, force_mvc in DataLoader(Stream(Path(sys.argv[1])), batch_size=2, num_workers=2):
        print(x.shape, force_mvc)
