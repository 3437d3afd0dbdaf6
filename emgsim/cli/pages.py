"""The command that writes the page of a run anew."""

from __future__ import annotations

from pathlib import Path

from emgsim.errors import UsageError


def report(folder: Path) -> int:
    """Write the page of a run, or the data sheet of one of metrology, anew from its folder.

    Nothing else in the folder changes. What is missing there is named on the page.

    Parameters
    ----------
    folder
        The run's.
    """
    from emgsim.records.journal import read_journal
    from emgsim.records.record import fold
    from emgsim.report.page import write_page
    from emgsim.report.sheet import write_sheet

    record = fold(read_journal(folder))
    if record.is_examination:
        raise UsageError(
            f"{folder} is of an examination, whose page is made with it",
            todo="name the folder of one of its muscles, or emgsim run --resume the examination",
        )
    is_metrology = str(record.scenario.get("schema", "")).startswith("emgsim.metrology/")
    print((write_sheet if is_metrology else write_page)(folder, record))
    return 0
