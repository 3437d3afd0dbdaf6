"""Commands on baselines: propose one from runs, approve it, and compare new runs with it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from emgsim.cli.base import say, writing
from emgsim.errors import InputError, UsageError

if TYPE_CHECKING:
    from emgsim.regression.baseline import Baseline
    from emgsim.regression.check import Checked

BASELINES = Path("reports/baselines")
CHANGED, UNKNOWN = 1, 5

Margins = Annotated[
    tuple[str, ...],
    Parameter(
        name="--margin",
        negative=(),
        help="MEASUREMENT=DIFFERENCE that matters, in its unit; one for each that is watched",
    ),
]
Folder = Annotated[Path, Parameter(help="where the baselines are")]

app = App(name="golden", help="Baselines that people approve, and new runs compared with them.")


@app.command
def propose(name: str, *runs: Path, margin: Margins = (), folder: Folder = BASELINES) -> int:
    """Propose a baseline of runs that passed, alike but for their seeds.

    It is written into the folder ``proposed``, and compares nothing until somebody approves it.

    Parameters
    ----------
    name
        Of the baseline: small letters, digits, dots, hyphens, underscores.
    runs
        Folders of the runs; ten are few enough to make and many enough to know the scatter.
    margin
        MEASUREMENT=DIFFERENCE that matters.
    folder
        Where the baselines are.
    """
    from emgsim.records.folders import record_table
    from emgsim.regression.baseline import PROPOSED, load_baseline, proposed, write_proposed

    old = folder / f"{name}.toml"
    replaces = load_baseline(old).digest if old.is_file() else ""
    records = [record_table(run) for run in runs]
    found = proposed(name, records, _margins(margin), replaces=replaces)
    with writing(folder / PROPOSED):
        path = write_proposed(found, folder)
    print(_shown(found), end="")
    say(f"proposed    {path}; approve it with `emgsim golden approve {name} --by --reason`")
    return 0


@app.command
def approve(name: str, *, by: str, reason: str, folder: Folder = BASELINES) -> int:
    """Approve a proposed baseline: it takes the place of the one of that name. Commit the file.

    Parameters
    ----------
    name
        Of the proposed baseline.
    by
        Your name.
    reason
        Why the values are right; it stays in the file.
    folder
        Where the baselines are.
    """
    from emgsim.regression.baseline import (
        PROPOSED,
        approved,
        baseline_text,
        find_baseline,
        load_baseline,
    )

    waiting = find_baseline(name, folder / PROPOSED)
    found = load_baseline(waiting)
    path = folder / f"{found.id}.toml"
    old = load_baseline(path).digest if path.is_file() else ""
    if old != found.replaces:
        raise UsageError(
            f"baseline {found.id} was approved anew since this one was proposed",
            where=str(waiting),
            todo="propose it again",
        )
    found = approved(found, by=by, reason=reason, on=datetime.now(UTC).date())
    with writing(path):
        path.write_text(baseline_text(found), encoding="utf-8")
        waiting.unlink()
    print(f"{path} approved by {found.by}, digest {found.digest[:12]}; commit it")
    return 0


@app.command(name="list")
def list_baselines(*, folder: Folder = BASELINES) -> int:
    """List the baselines: who approved each, when and why; and what waits for approval.

    Parameters
    ----------
    folder
        Where the baselines are.
    """
    from emgsim.regression.baseline import PROPOSED, load_baseline

    code = 0
    paths = [*sorted(folder.glob("*.toml")), *sorted((folder / PROPOSED).glob("*.toml"))]
    for path in paths:
        try:
            one = load_baseline(path)
        except InputError as error:  # the others are listed all the same
            say(f"error: {error}")
            code = error.exit_code
            continue
        who = f"{one.by}, {one.on}: {one.reason}" if one.is_approved else "proposed"
        print(f"{one.id:<32} {len(one.runs):>3} runs  {len(one.measurements):>3} measured  {who}")
    if not paths:
        say(f"no baseline in {folder}")
    return code


@app.command
def show(name: str, *, folder: Folder = BASELINES) -> int:
    """Show a baseline: what it is of, who approved it, and its measurements.

    Parameters
    ----------
    name
        Of the baseline, or its path.
    folder
        Where the baselines are.
    """
    from emgsim.regression.baseline import find_baseline, load_baseline

    print(_shown(load_baseline(find_baseline(name, folder))), end="")
    return 0


@app.command
def check(name: str, *runs: Path, folder: Folder = BASELINES) -> int:
    """Compare new runs with a baseline: 0 if all is equivalent, 1 if something has changed, else 5.

    Parameters
    ----------
    name
        Of the baseline, or its path.
    runs
        Folders of the new runs, of the same scenario and rig.
    folder
        Where the baselines are.
    """
    from emgsim.records.folders import record_table
    from emgsim.regression.baseline import find_baseline, load_baseline
    from emgsim.regression.check import changes_of_setting, checked_runs

    if not runs:
        raise UsageError("nothing to compare", todo="name the folders of the new runs")
    baseline = load_baseline(find_baseline(name, folder))
    records = [record_table(run) for run in runs]
    rows = checked_runs(baseline, records)
    for change in dict.fromkeys(c for r in records for c in changes_of_setting(baseline, r)):
        say(f"not as then  {change}")
    print(_table(rows), end="")
    answers = {row.comparison.answer for row in rows}
    if "changed" in answers:
        return CHANGED
    return UNKNOWN if "not enough data" in answers else 0


def _margins(words: tuple[str, ...]) -> dict[str, float]:
    """Return the margin of each measurement."""
    found: dict[str, float] = {}
    for word in words:
        id, equals, text = word.partition("=")
        try:
            margin = float(text)
        except ValueError:
            margin = 0.0
        if not equals or not margin > 0:
            raise UsageError(
                f"--margin needs MEASUREMENT=DIFFERENCE with a difference > 0, got {word!r}",
                todo="for example --margin discharges.f1.device=0.05",
            )
        found[id.strip()] = margin
    if not found:
        raise UsageError(
            "a baseline watches at least one measurement",
            todo="name each with --margin MEASUREMENT=DIFFERENCE",
        )
    return found


def _shown(one: Baseline) -> str:
    who = f"{one.by} on {one.on}: {one.reason}" if one.is_approved else "nobody yet"
    lines = [
        f"baseline   {one.id}",
        f"of         {one.scenario} on {one.rig}, {len(one.runs)} runs, seeds "
        f"{', '.join(map(str, one.seeds))}",
        f"device     {one.device or '-'}",
        f"detector   {one.detector or '-'}",
        f"approved   {who}",
        "",
        f"{'measurement':<36} {'mean':>12} {'SD':>10} {'margin':>10}  unit",
    ]
    for m in one.measurements:
        mean = sum(m.values) / len(m.values)
        square = sum((v - mean) ** 2 for v in m.values) / max(1, len(m.values) - 1)
        lines.append(f"{m.id:<36} {mean:>12.6g} {square**0.5:>10.3g} {m.margin:>10.4g}  {m.unit}")
    return "\n".join(lines) + "\n"


def _table(rows: list[Checked]) -> str:
    head = (
        f"{'measurement':<36} {'difference':>11} {'90 % interval':>25} {'margin':>9} {'power':>6}  "
        "answer"
    )
    lines = [head]
    for row in rows:
        c = row.comparison
        interval = f"{c.low:>+12.4g} ..{c.high:>+11.4g}"
        lines.append(
            f"{row.id:<36} {c.difference:>+11.4g} {interval:>25} {c.margin:>9.4g} "
            f"{100 * c.power:>4.0f} %  {c.answer}{f': {row.note}' if row.note else ''}"
        )
    lines.append(
        "power: the chance that a change of 1.5 margins would have been found; changes are judged "
        "together (Holm)"
    )
    return "\n".join(lines) + "\n"
