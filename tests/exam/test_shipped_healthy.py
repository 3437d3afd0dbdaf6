"""A shipped examination of the short set, end to end; the full set is nightly."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.slow
def test_a_shipped_examination_of_the_healthy_passes_on_the_virtual_rig(
    passes_whole: Callable[[str], None],
) -> None:
    """Every limit holds: of the chain, and of what analysis and device must find."""
    passes_whole("healthy_fdi")
