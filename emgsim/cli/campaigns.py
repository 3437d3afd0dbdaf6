"""Commands on campaigns: scenarios on rigs with seeds and sweeps, run cell by cell."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from emgsim.cli.base import say
from emgsim.errors import UsageError

if TYPE_CHECKING:
    from emgsim.campaigns.campaign import Campaign
    from emgsim.records.campaign import CampaignRecord

OUT = Path("reports/campaigns")

app = App(name="campaign", help="Run scenarios on rigs with seeds and sweeps, as one.")


@app.command(name="run")
def campaign_run(
    file: Path | None = None,
    *,
    out: Path = OUT,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    resume: Path | None = None,
) -> int:
    """Run every cell of a campaign: each scenario on each rig, with each seed and swept value.

    A cell that breaks keeps its error, and the others go on.

    Parameters
    ----------
    file
        Path of the campaign's file.
    out
        Folder in which the campaign's folder is made.
    dry_run
        Tell the cells, their number and how long they may take; run nothing.
    resume
        Folder of an interrupted campaign to go on with, in place of a file; alone.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a way out that closes things
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    if resume is not None and (file is not None or dry_run or out != OUT):
        raise UsageError(
            "--resume goes on with what the campaign was begun with; it stands alone",
            where=str(resume),
            todo="leave the rest out, or begin anew without --resume",
        )
    from emgsim.campaigns.campaign import load_campaign
    from emgsim.campaigns.running import resume_campaign, run_campaign

    if resume is not None:
        return _told(*resume_campaign(resume, progress=say))
    if file is None:
        raise UsageError("campaign run needs a campaign's file, or --resume with a folder")
    campaign = load_campaign(file)
    if dry_run:
        return _foreseen(campaign, str(file), out)
    return _told(*run_campaign(campaign, out=out, where=str(file), progress=say))


@app.command
def report(folder: Path) -> int:
    """Write record, page and JUnit file of a campaign anew, also of one that is still going on.

    Parameters
    ----------
    folder
        The campaign's.
    """
    from emgsim.campaigns.folder import write_campaign

    return _told(folder, write_campaign(folder))


def _foreseen(campaign: Campaign, where: str, out: Path) -> int:
    """Print the cells of a campaign with the time that each may take."""
    from emgsim.campaigns.cells import cells_of
    from emgsim.campaigns.expecting import Expected, earlier, in_words

    cells, times = cells_of(campaign, where), Expected(earlier(out))
    for cell in cells:
        values = "  ".join(f"{name}={value}" for name, value in cell.values.items())
        prepared = "" if cell.prepare is None else f"  after: {cell.prepare}"
        print(f"{cell.id:<56} {in_words(times.cell_s(cell)):>7}  {values}{prepared}".rstrip())
    known = {cell.scenario for cell in cells} & set(times.known)
    source = "by earlier campaigns" if known else "a guess: none of this was run before"
    print(f"{len(cells)} cells, about {in_words(times.left_s(cells))} ({source})")
    return 0


def _told(folder: Path, record: CampaignRecord) -> int:
    from emgsim.report.campaign_table import campaign_table

    print(campaign_table(record), end="")
    print(f"report: {folder / 'report.html'}")
    return record.run.exit_code or 0
