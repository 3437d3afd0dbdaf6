"""Pictures that show why discharges were missed, false, late, or taken for another unit's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emgsim.recording import Floats
from emgsim.report.case import Case, Shown
from emgsim.report.material import COLOURS, GREY
from emgsim.report.misses import WINDOW_S, Fate, detectable, event_fates, fates, worst_start_s
from emgsim.report.pictures import INK, draw_limits, drawn, effort_start_s, envelope
from emgsim.scoring import DETECTABLE_RATIO, MAX_LAG_S, best_lag_s, match_discharges
from emgsim.scoring.detection import detection_curve
from emgsim.scoring.score import TOLERANCE_S

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MISSED, FALSE, HIT = "#c24e00", "#9b3f8c", "#4d7a1f"
COLUMNS = 700  # of half a second of a waveform
LEAST_DB = -30.0  # what stands out less is not drawn
MOST_UNITS = 16  # lanes of a picture


def detections(case: Case) -> Shown | None:
    """Show every path over the half second in which most was missed or false on this one."""
    return _over_time(case, {p: fates(case.material, case.record, p) for p in case.paths})


def events(case: Case) -> Shown | None:
    """Show the same of a device that reports discharges without telling units apart."""
    seen = {p: fates(case.material, case.record, p) for p in case.paths}
    return _over_time(case, seen | {case.path: event_fates(case.material, case.record, case.path)})


def _over_time(case: Case, seen: dict[str, tuple[Fate, ...]]) -> Shown | None:
    these = seen.get(case.path, ())
    if not these or not case.material.recordings:
        return None
    start_s = worst_start_s(these, effort_start_s(case.material))
    stop_s = start_s + WINDOW_S
    n_missed, n_false = (_n(these, name, start_s, stop_s) for name in ("missed_s", "false_s"))

    def draw(figure: Figure) -> None:
        axes = figure.subplots(len(seen), 1, sharex=True, squeeze=False)[:, 0]
        for ax, path in zip(axes, seen, strict=True):
            _draw_path(ax, case, path, seen[path], start_s)
        axes[0].set_xlim(start_s, stop_s)
        axes[-1].set_xlabel("time on the scenario's clock (s)")

    return Shown(
        picture=drawn(draw, 0.5 + 1.75 * len(seen)),
        alt=f"{', '.join(seen)} from {start_s:.2f} to {stop_s:.2f} s, negative up, with the "
        f"discharges that count: {n_missed} missed and {n_false} false on {case.path}",
        caption=f"The half second with most errors on {case.path}. Missed: {n_missed} "
        f"(orange, triangle, the true unit's number). False: {n_false} (purple, cross). Green "
        "ticks were found. Only units that count are marked.",
    )


def _n(these: tuple[Fate, ...], name: str, start_s: float, stop_s: float) -> int:
    return sum(_within(getattr(f, name), start_s, stop_s).size for f in these)


def _within(times_s: Floats, start_s: float, stop_s: float) -> Floats:
    return times_s[(times_s >= start_s) & (times_s < stop_s)]


def _draw_path(ax: Axes, case: Case, path: str, these: tuple[Fate, ...], start_s: float) -> None:
    stop_s = start_s + WINDOW_S
    recording = case.material.recordings.get(path)
    if recording is not None:
        cut = recording.cut(start_s, stop_s)
        ax.plot(*envelope(cut.times_s, cut.samples_uv[:, 0], COLUMNS), color=INK, linewidth=0.6)
        ax.set_ylabel("µV, negative up")
        ax.margins(y=0.22)  # room for the marks
        ax.invert_yaxis()
    else:
        ax.set_yticks([])
    flat = ax.get_xaxis_transform()
    for fate in these:
        ax.vlines(_within(fate.hits_s, start_s, stop_s), 0.0, 0.06, HIT, transform=flat)
        for time_s in _within(fate.missed_s, start_s, stop_s):
            ax.axvline(time_s, color=MISSED, linewidth=1.0, alpha=0.7)
            ax.plot(time_s, 0.93, "v", color=MISSED, markersize=5, transform=flat)
            ax.text(time_s, 0.95, f" {fate.unit}", color=MISSED, fontsize=7, va="center",
                    transform=flat)  # fmt: skip
        for time_s in _within(fate.false_s, start_s, stop_s):
            ax.axvline(time_s, color=FALSE, linewidth=1.0, alpha=0.7, linestyle="--")
            ax.plot(time_s, 0.06, "x", color=FALSE, markersize=5, transform=flat)
    n = [_n(these, name, start_s, stop_s) for name in ("hits_s", "missed_s", "false_s")]
    said = f"found {n[0]}, missed {n[1]}, false {n[2]}" if these else "nothing was scored here"
    ax.set_title(f"{path}: {said}", fontweight="bold" if path == case.path else "normal")


def probability(case: Case) -> Shown | None:
    """Show what share of each unit was found against how far it stands out, and the curve."""
    rows = [
        (20 * np.log10(row["ratio"]), row["sensitivity"], row.get("found_id") is not None)
        for row in case.record.scores.get(case.path, [])
        if row.get("ratio") and row.get("sensitivity") is not None
    ]
    if not rows:
        return None
    size_db, shares, is_found = (np.asarray(column) for column in zip(*rows, strict=True))
    least_db = 20 * np.log10(DETECTABLE_RATIO)

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        ax.plot(size_db, shares, "o", color=COLOURS[0], markersize=4, alpha=0.7, label="one unit")
        if is_found.any() and not is_found.all() and np.ptp(size_db) > 0:
            curve = detection_curve(size_db, is_found)
            grid_db = np.linspace(size_db.min() - 1, size_db.max() + 1, 120)
            ax.plot(grid_db, [curve.probability(x) for x in grid_db], color=INK,
                    label="probability that a unit is found, fitted")  # fmt: skip
        ax.axvline(least_db, color=MISSED, linestyle="--",
                   label=f"{DETECTABLE_RATIO:g} times: detectable from here on")  # fmt: skip
        ax.set_ylim(-0.05, 1.05)
        ax.set_xlim(left=max(LEAST_DB, size_db.min() - 2))
        ax.set_xlabel("MUAP peak to peak over the rms of everything else (dB)")
        ax.set_ylabel("share of discharges found")
        ax.legend(loc="center left", fontsize=8)

    n = int((size_db >= least_db).sum())
    lost = int(((size_db >= least_db) & ~is_found).sum())
    return Shown(
        picture=drawn(draw, 2.8, 8.0),
        alt=f"Share of each unit's discharges that was found on {case.path} against how far its "
        f"potential stands out: of {n} detectable units {lost} were not found",
        caption=f"Each true unit on {case.path}: what stands far out should be found. Of {n} units "
        f"right of the dashed line {lost} were not found as a unit.",
    )


def timing(case: Case) -> Shown | None:
    """Show how late each found discharge is, unit by unit, with each unit's lag."""
    these = [f for f in fates(case.material, case.record, case.path) if f.errors_s.size]
    these = these[:MOST_UNITS]
    if not these:
        return None
    tolerance_us = 1e6 * TOLERANCE_S

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        for lane, fate in enumerate(these):
            errors_us = 1e6 * fate.errors_s
            lag_us = float(np.median(errors_us))
            ax.plot(errors_us, np.full(errors_us.size, lane), "|", color=COLOURS[0], markersize=9,
                    alpha=0.5, rasterized=True)  # fmt: skip
            ax.plot(lag_us, lane, "D", color=MISSED, markersize=5)
            ax.plot([lag_us - tolerance_us, lag_us + tolerance_us], [lane + 0.35] * 2, color=GREY,
                    linewidth=1.2)  # fmt: skip
        ax.set_yticks(range(len(these)), [f"unit {fate.unit}" for fate in these])
        ax.invert_yaxis()
        ax.set_xlabel("found minus true (µs)")
        draw_limits(ax, case.limit("us", "discharges.lag_us."), is_upright=True)

    lags_us = [1e6 * float(np.median(fate.errors_s)) for fate in these]
    return Shown(
        picture=drawn(draw, 0.8 + 0.32 * len(these), 8.0),
        alt=f"Time error of each discharge found on {case.path}, one row a unit; the units' lags "
        f"lie between {min(lags_us):.0f} and {max(lags_us):.0f} microseconds",
        caption=f"Each tick is a discharge found on {case.path}, the diamond its unit's lag, the "
        f"grey bar the tolerance of {tolerance_us:.0f} µs about it.",
    )


def sharing(case: Case) -> Shown | None:
    """Show which found unit holds what share of which true one: split, merged, false, missed."""
    shares = _shares(case)
    if shares is None:
        return None
    true_ids, found_ids, table = shares

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        ax.imshow(table, cmap="Blues", vmin=0, vmax=130, aspect="auto")
        for i, j in zip(*np.nonzero(table >= 5), strict=True):
            ax.text(j, i, f"{table[i, j]:.0f}", ha="center", va="center", fontsize=8,
                    color="white" if table[i, j] > 70 else INK)  # fmt: skip
        ax.set_xticks(range(len(found_ids)), [str(k) for k in found_ids])
        ax.set_yticks(range(len(true_ids)), [str(k) for k in true_ids])
        ax.set_xlabel(f"unit found on {case.path}")
        ax.set_ylabel("true unit")
        ax.grid(visible=False)

    return Shown(
        picture=drawn(draw, 0.9 + 0.26 * len(true_ids), 8.0),
        alt=f"Per cent of each true unit's discharges that each unit found on {case.path} has: "
        f"{len(true_ids)} true and {len(found_ids)} found units",
        caption="Per cent of a true unit's discharges that a found unit has at its best delay. Two "
        "dark cells in a row: the true unit is split; in a column: units are merged; an empty "
        "column: a false unit; an empty row: a missed one.",
    )


def _shares(case: Case) -> tuple[list[int], list[int], Floats] | None:
    """Return true ids, found ids and the per cent that they share."""
    truth, found = case.wanted, case.material.findings.get(case.path)
    if truth is None or found is None or not found.units:
        return None
    counted = detectable(case.record, case.path)
    held = set(case.material.matched.get(case.path, {}).values())
    units = [u for u in truth.units if counted is None or u.id in counted or u.id in held]
    if not units:
        return None
    table = np.zeros((len(units), len(found.units)))
    for i, unit in enumerate(units):
        true_s = np.sort(unit.spike_times_s)
        for j, other in enumerate(found.units):
            found_s = np.sort(other.discharge_times_s)
            lag_s = best_lag_s(true_s, found_s, TOLERANCE_S, MAX_LAG_S)
            n = len(match_discharges(true_s, found_s, TOLERANCE_S, lag_s))
            table[i, j] = 100 * n / max(1, true_s.size)
    return [unit.id for unit in units], [unit.id for unit in found.units], table
