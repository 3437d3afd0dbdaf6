"""The cells of a campaign as a plain table for the terminal."""

from __future__ import annotations

from collections import Counter

from emgsim.records.campaign import PASSED, CampaignRecord, judged_in
from emgsim.report.notation import one_line, verdict_text

WIDTH = 110  # columns


def campaign_table(record: CampaignRecord) -> str:
    """Write a line for each cell, below it what did not pass, and in the last line the counts.

    Parameters
    ----------
    record
        The campaign.

    Returns
    -------
    str
        Ended by a line break.
    """
    wide = max((len(cell["id"]) for cell in record.cells), default=0)
    lines = []
    for cell in record.cells:
        lines.append(f"{cell['id']:<{wide}}  {verdict_text(cell['verdict'])}")
        if cell["why"]["what"]:
            lines.append(f"    {one_line(cell['why']['what'])}"[:WIDTH])
        failed = [m.id for m in judged_in(cell) if m.verdict not in PASSED]
        if failed:
            lines.append(f"    {', '.join(failed)}"[:WIDTH])
    lines.append(f"verdict: {verdict_text(record.verdict)} ({cell_counts(record)})")
    return "\n".join(lines) + "\n"


def cell_counts(record: CampaignRecord) -> str:
    """Write how many cells there are, and how many came to what."""
    n = len(record.cells)
    counts = Counter(verdict_text(cell["verdict"]) for cell in record.cells)
    told = ", ".join(f"{k} {verdict}" for verdict, k in sorted(counts.items()))
    return f"{n} cell{'' if n == 1 else 's'}: {told}"
