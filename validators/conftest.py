"""A tree of every kind of recording, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from emgsim.dataset.export.bids import finish_bids, write_bids

from .sets import HEAD, MADE


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tree; nobody changes it."""
    root = tmp_path_factory.mktemp("judged") / "bids"
    for made in MADE:
        write_bids(root, HEAD, made)
    finish_bids(root, HEAD, [made.item for made in MADE])
    return root
