"""What is judged, made once: the shipped surface set, and a tree of every kind of recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from emgsim.dataset.export.bids import finish_bids, write_bids

from .sets import HEAD, MADE, grid_made, make_surface_set


@pytest.fixture(scope="session")
def surface_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of `examples/dataset_surface.toml`; nobody changes it."""
    return make_surface_set(tmp_path_factory.mktemp("made") / "set")


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory, surface_set: Path) -> Path:
    """Return a tree of a needle's, an array's and a grid's recordings, of two clocks each."""
    root = tmp_path_factory.mktemp("judged") / "bids"
    every = (*MADE, grid_made(surface_set))
    for made in every:
        write_bids(root, HEAD, made)
    finish_bids(root, HEAD, [made.item for made in every])
    return root


@pytest.fixture(scope="session")
def trees(tree: Path, surface_set: Path) -> tuple[Path, ...]:
    """Return both BIDS trees."""
    return tree, surface_set / "bids"
