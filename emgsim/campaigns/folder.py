"""What a campaign's folder says: its record, from its journal and the cells' runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from emgsim.campaigns.campaign import Campaign
from emgsim.campaigns.pooling import Played, agreement, detection
from emgsim.configuration import validated
from emgsim.errors import InputError
from emgsim.records.campaign import CAMPAIGN, RUNS, CampaignRecord
from emgsim.records.folders import record_table
from emgsim.records.journal import JOURNAL, Line, read_journal, write_whole
from emgsim.records.record import RECORD, RunRecord, fold
from emgsim.records.requirements import traceability
from emgsim.running.resuming import is_intact

PLANNED = "planned"  # the key of a campaign's first line that has the cells
NOWHERE = {"what": "", "where": "", "todo": ""}


def begun(folder: Path) -> tuple[list[Line], Campaign]:
    """Return the journal of a campaign, and the campaign.

    Raises
    ------
    InputError
        If the folder holds none, or one that this version reads otherwise.
    """
    lines = read_journal(folder)
    table = fold(lines).scenario
    if not str(table.get("schema", "")).startswith("emgsim.campaign/"):
        raise InputError(
            "this is not the folder of a campaign",
            where=str(folder),
            todo="name one of reports/campaigns; `emgsim run --resume` goes on with a single run",
        )
    return lines, validated(Campaign, table, f"{folder}, its campaign")


def is_completed(folder: Path, run: RunRecord, id: str) -> bool:
    """Tell whether a cell is done, and its record is still the one in the campaign's journal.

    Parameters
    ----------
    folder
        The campaign's.
    run
        Its journal, folded.
    id
        The cell's.
    """
    return is_intact(folder, f"{RUNS}/{id}/{RECORD}", run.files)


def conclude_campaign(folder: Path) -> CampaignRecord:
    """Conclude a campaign's record from its journal and the folders of its cells' runs.

    Raises
    ------
    InputError
        If the folder holds no campaign, or a cell's record cannot be read.
    """
    lines, campaign = begun(folder)
    run = fold(lines)
    planned: list[Line] = lines[0][PLANNED]
    cells = [_cell(folder, lines, run, cell) for cell in planned]
    done = [cell for cell in cells if cell["status"] == "completed"]
    played = [one for cell in done for one in _played(folder, cell)]
    tables = [record_table(folder / cell["folder"]) for cell in done]
    return CampaignRecord(
        run=run,
        cells=tuple(cells),
        detection=detection(played, campaign.sweeps),
        agreement=agreement(played),
        requirements=tuple(traceability(tables)),
    )


def write_campaign(folder: Path) -> CampaignRecord:
    """Write record, page and JUnit file of a campaign, and return the record.

    Raises
    ------
    InputError
        If the folder holds no campaign.
    """
    from emgsim.report.campaign_junit import campaign_junit
    from emgsim.report.campaign_page import write_campaign_page

    record = conclude_campaign(folder)
    write_whole(folder / CAMPAIGN, record.to_json())
    write_whole(folder / "junit.xml", campaign_junit(record))
    write_campaign_page(folder, record)
    return record


def _cell(folder: Path, lines: Sequence[Line], run: RunRecord, planned: Line) -> Line:
    """Return what became of a cell."""
    id = planned["id"]
    cell = {
        **planned, "folder": f"{RUNS}/{id}", "exit_code": None, "seconds": None, "firmware": "",
        "judged": [], "why": dict(NOWHERE),
    }  # fmt: skip
    seconds = [s["seconds"] for s in run.stages if s["name"] == id]
    if is_completed(folder, run, id):
        table = record_table(folder / cell["folder"])
        return cell | _judged(table) | {"status": "completed", "seconds": sum(seconds)}
    last = next((x for x in reversed(lines) if id in (x.get("cell"), x.get("id"))), {})
    if last.get("kind") == "error":
        why = {key: last[key] for key in NOWHERE}
        return cell | _ended("broken") | {"exit_code": last["exit_code"], "why": why}
    if last.get("kind") == "skipped":
        return cell | _ended("skipped") | {"why": NOWHERE | {"what": last["why"]}}
    has_begun = (folder / cell["folder"] / JOURNAL).is_file()
    return cell | _ended("interrupted" if has_begun else "not_run")


def _ended(how: str) -> Line:
    return {"status": how, "verdict": how}


def _judged(table: Mapping[str, object]) -> Line:
    """Return what a campaign's record says of a run that was completed."""
    values = json.loads(json.dumps(table))
    return {
        "verdict": values["verdict"],
        "exit_code": values["exit_code"],
        "firmware": values.get("identities", {}).get("device", {}).get("firmware", ""),
        "judged": [m for m in values["measurements"] if m["limit"] is not None],
    }


def _played(folder: Path, cell: Line) -> Iterator[Played]:
    """Yield the run of a cell; of an examination, those of its muscles."""
    place = folder / cell["folder"]
    is_scenario = cell["kind"] == "scenario"
    places = [place] if is_scenario else sorted(p.parent for p in place.glob(f"*/{JOURNAL}"))
    for one in places:
        with suppress(InputError):  # a muscle's journal that was damaged afterwards
            yield Played(cell=cell, folder=one, record=fold(read_journal(one)))
