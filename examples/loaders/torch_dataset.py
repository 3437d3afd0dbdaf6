"""A dataset on the disk as a PyTorch `Dataset`: the first second of each item, and its effort."""

import sys
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from emgsim.dataset.loaders import Folder, Shards


class Recordings(Dataset):
    """Samples, shape (n_channels, n_samples), microvolts, and the largest force, part of MVC."""

    def __init__(self, examples: Folder | Shards, seconds: float = 1.0) -> None:
        self.examples, self.seconds = examples, seconds

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, float]:
        example = self.examples[index]
        n = round(self.seconds * example.rate_hz)
        return torch.from_numpy(example.samples_uv[:n].T.copy()), example.labels["force_max_mvc"]


if __name__ == "__main__":
    examples = Recordings(Folder(Path(sys.argv[1])))
    for x, force_mvc in DataLoader(examples, batch_size=2, num_workers=2):
        print(x.shape, force_mvc)
