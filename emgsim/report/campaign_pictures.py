"""The pictures of a campaign: detection along its axes, and how measures agree with the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from emgsim.records.journal import Line
from emgsim.report.notation import number as number_text
from emgsim.report.notation import unit_text
from emgsim.report.pictures import INK, WIDTH_IN, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# apart for colour-blind readers too; the mark says it without colour
LOOKS = {
    "truth": ("#0072b2", "o"), "loopback": ("#007a58", "s"), "device": ("#c24e00", "^"),
    "device_reported": ("#9b3f8c", "D"),
}  # fmt: skip
OTHER = ("#767676", "v")
NARROW = 0.6  # of the width, of a picture with one panel
ACROSS = 3  # panels of a row
DODGE = 0.012  # of the axis, so that intervals of several paths do not hide each other
SNR = "snr_db"  # the axis of the units' SNR
LOWEST_DB = -27.0  # of the SNR that is drawn: what is smaller nobody finds
LOG_FROM = 20.0  # the largest value over the smallest, from which an axis is logarithmic


def detection_picture(series: Sequence[Line]) -> str:
    """Draw what was found along one axis, a panel for each scenario and rig, a line for each path.

    Parameters
    ----------
    series
        Of `CampaignRecord.detection`, all of one axis.
    """
    panels: dict[str, list[Line]] = {}
    for line in series:
        panels.setdefault(in_words(line["of"]), []).append(line)
    across = min(len(panels), ACROSS)
    down = math.ceil(len(panels) / across)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
        for ax in grid[len(panels) :]:
            ax.set_visible(False)
        for ax, (title, lines) in zip(grid, panels.items(), strict=False):
            _draw_detection(ax, lines)
            ax.set_title(title, fontweight="bold")
        for ax in grid[::across]:
            ax.set_ylabel(f"share of {series[0]['counts']} found")
        grid[0].set_ylim(-0.03, 1.03)
        handles = {h.get_label(): h for ax in grid for h in ax.get_legend_handles_labels()[0]}
        figure.legend(handles.values(), handles, loc="outside upper right", ncols=4)

    return drawn(draw, 0.9 + 2.7 * down, WIDTH_IN * NARROW if across == 1 else WIDTH_IN)


def _draw_detection(ax: Axes, lines: Sequence[Line]) -> None:
    is_snr = lines[0]["axis"] == SNR
    xs = sorted({p["x"] for line in lines for p in line["points"]})
    is_log = xs[0] > 0 and xs[-1] >= LOG_FROM * xs[0]
    for number, line in enumerate(lines):
        share = DODGE * (number - (len(lines) - 1) / 2)
        _draw_series(ax, line, [_moved(p["x"], share, xs, is_log=is_log) for p in line["points"]])
    if is_log:
        ax.set_xscale("log")
    if is_snr:
        ax.set_xlim(left=max(xs[0] - 3, LOWEST_DB))
    else:
        ax.set_xticks(xs, [number_text(x) for x in xs])
        ax.set_xticks([], minor=True)
    ax.set_xlabel(axis_label(lines[0]))


def _draw_series(ax: Axes, line: Line, places: Sequence[float]) -> None:
    """Draw one path's points with their intervals, and its curve or, without one, a dotted line."""
    colour, mark = LOOKS.get(line["path"], OTHER)
    shares = [math.nan if p["share"] is None else p["share"] for p in line["points"]]
    for x, point in zip(places, line["points"], strict=True):
        if point["low"] is not None:
            ax.vlines(x, point["low"], point["high"], color=colour, linewidth=1.4)
    ax.plot(places, shares, mark, color=colour, markersize=5, label=line["path"].replace("_", " "))
    if line["fit"] is not None:
        curve = [row for row in line["fit"]["curve"] if row[1] is not None]
        ax.plot(*zip(*curve, strict=True), color=colour, linewidth=1.2)
    elif line["axis"] != SNR:
        ax.plot(places, shares, color=colour, linewidth=0.7, linestyle=":")


def _moved(x: float, share: float, xs: Sequence[float], *, is_log: bool) -> float:
    """Return a place moved by a share of the axis."""
    if is_log:
        return float(x * (xs[-1] / xs[0]) ** share)
    return float(x + share * (xs[-1] - xs[0]))


def axis_label(line: Line) -> str:
    """Write the name of a series' axis with its unit."""
    if line["axis"] == SNR:
        return "MUAP p-p over the rms of everything else (dB)"
    name, unit = line["axis"].replace("_", " "), unit_text(line["unit"])
    return f"{name} ({unit})" if unit else name


def in_words(of: Line) -> str:
    """Write what runs have in common.

    Examples
    --------
    >>> in_words({"scenario": "healthy_fdi", "rig": "virtual", "effort": 0.1})
    'healthy fdi · virtual · effort 0.1'
    """
    said = [
        str(value).replace("_", " ") if name in ("scenario", "rig") else f"{name} {value}"
        for name, value in of.items()
    ]
    return " · ".join(said)


def agreement_picture(lines: Sequence[Line]) -> str:
    """Draw differences against true values, a row for each measure and a column for each path.

    Parameters
    ----------
    lines
        Of `CampaignRecord.agreement`, all of one rig.
    """
    paths = list(dict.fromkeys(line["path"] for line in lines))
    measures = list(dict.fromkeys(line["measure"] for line in lines))
    by = {(line["measure"], line["path"]): line for line in lines}

    def draw(figure: Figure) -> None:
        grid: Any = figure.subplots(
            len(measures), len(paths), sharex="row", sharey="row", squeeze=False
        )
        for row, measure in zip(grid, measures, strict=True):
            for ax, path in zip(row, paths, strict=True):
                if (measure, path) in by:
                    _draw_agreement(ax, by[measure, path])
            told = next(line for line in lines if line["measure"] == measure)
            row[0].set_ylabel(f"{told['name']}\nfound - true ({unit_text(told['unit'])})")
            for ax in row:
                ax.set_xlabel(f"true {told['name']} ({_letters(told['true_unit'])})")
        for ax, path in zip(grid[0], paths, strict=True):
            ax.set_title(path.replace("_", " "), fontweight="bold")

    return drawn(draw, 0.5 + 2.3 * len(measures))


def _letters(unit: str) -> str:
    """Write a unit, or a product of units, with its proper letters."""
    return " ".join(unit_text(part) for part in unit.split())


def _draw_agreement(ax: Axes, line: Line) -> None:
    colour, mark = LOOKS.get(line["path"], OTHER)
    if line["points"]:
        ax.plot(*zip(*line["points"], strict=True), mark, color=colour, markersize=4, alpha=0.6,
                linewidth=0)  # fmt: skip
    for name, style in (("bias", "-"), ("lower", "--"), ("upper", "--")):
        if line[name] is None:
            continue
        ax.axhline(line[name], color=INK, linewidth=1.0, linestyle=style)
        if line[f"{name}_low"] is not None:
            ax.axhspan(line[f"{name}_low"], line[f"{name}_high"], color=INK, alpha=0.1, linewidth=0)
