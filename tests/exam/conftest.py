"""Whole examinations on the virtual rig: some minutes each, so each stands in a file of its own.

Workers take files: two files are two workers' work, one with two tests keeps the other waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emgsim.bench.rig import load_rig
from emgsim.exam.examination import load_examination
from emgsim.running.examination import examine


@pytest.fixture
def passes_whole(tmp_path: Path) -> Callable[[str], None]:
    """Examine a shipped patient, and hold every limit: of the chain, of analysis and device."""

    def examined(name: str) -> None:
        _, record = examine(load_examination(name), load_rig("virtual"), out=tmp_path)
        assert record.run.verdict in ("pass", "conditional_pass"), [
            (m.id, m.value) for m in record.run.measurements if m.limit and m.verdict == "fail"
        ]

    return examined
