"""Shipped examinations on the virtual rig, end to end: the short set. The full one is nightly."""

from __future__ import annotations

from pathlib import Path

import pytest

from emgsim.bench.rig import load_rig
from emgsim.exam.examination import load_examination
from emgsim.running.examination import examine

SHORT_SET = ("healthy_edb", "denervation_12_months")  # one healthy, one ill: about 70 CPU s each


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT_SET)
def test_a_shipped_examination_passes_on_the_virtual_rig(name: str, tmp_path: Path) -> None:
    """Every limit holds: of the chain, and of what analysis and device must find."""
    _, record = examine(load_examination(name), load_rig("virtual"), out=tmp_path)
    assert record.run.verdict in ("pass", "conditional_pass"), [
        (m.id, m.value) for m in record.run.measurements if m.limit and m.verdict == "fail"
    ]
