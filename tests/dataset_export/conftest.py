"""An exported tree, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from emgsim.dataset.export.bids import finish_bids, write_bids

from .making import ARRAY, HEAD, SURFACE, made_of

MADE = {"0001": made_of(), "0002": made_of(ARRAY, number=1, subject="0002"),
        "0003": made_of(SURFACE, number=2, subject="0003")}  # fmt: skip


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tree of a needle's, an array's and a surface grid's item; nobody changes it."""
    root = tmp_path_factory.mktemp("sets") / "bids"
    for made in MADE.values():
        write_bids(root, HEAD, made)
    finish_bids(root, HEAD, [made.item for made in MADE.values()])
    return root
