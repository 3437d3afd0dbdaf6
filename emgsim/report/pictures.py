"""The page's pictures as SVG, drawn from what the run's folder holds. EMG is drawn negative up."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from emgsim.recording import Floats, FoundUnit, MotorUnit
from emgsim.records.journal import Line
from emgsim.report.material import GREY, Material
from emgsim.verdict import Limit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1b2530"
GRID = "#dfe4e8"
LIMIT = "#9b3f8c"
WIDTH_IN = 11.4
COLUMNS = 1400  # of the static waveform
STATIC_S = 1.0
MUAP_SPAN_MS = (-5.0, 10.0)
PLACES = re.compile(r"""( (?:d|x|y)=")([^"]*)(")""")  # where an SVG has coordinates
NUMBER = re.compile(r"\d+\.\d+")
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "emgsim", "svg.fonttype": "none", "text.parse_math": False, "font.size": 9,
    "axes.edgecolor": "#8a949e", "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK,
    "ytick.color": INK, "axes.grid": True, "grid.color": GRID, "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 9,
    "axes.titlelocation": "left", "legend.frameon": False, "font.family": "sans-serif",
    # measured as DejaVu Sans; a reader without it sees a narrower one
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
}  # fmt: skip


def drawn(draw: Callable[[Figure], object], height_in: float, width_in: float = WIDTH_IN) -> str:
    """Return what a function draws as the data address of an SVG, always the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width_in, height_in), layout="constrained", dpi=150)
        draw(figure)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata=metadata)
    svg = _rounded(file.getvalue().decode("utf-8")).encode("utf-8")
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")


def _rounded(svg: str) -> str:
    """Write coordinates to a hundredth of a point: nobody sees more, and files halve."""

    def short(place: re.Match[str]) -> str:
        numbers = NUMBER.sub(lambda found: f"{round(float(found[0]), 2):g}", place[2])
        return f"{place[1]}{' '.join(numbers.split())}{place[3]}"

    return PLACES.sub(short, svg)


def draw_limits(ax: Axes, limit: Limit | None, *, is_upright: bool = False) -> None:
    """Draw the bounds of a limit as dashed lines; upright ones over the horizontal axis."""
    for bound in () if limit is None else (limit.low, limit.high):
        if bound is not None:
            (ax.axvline if is_upright else ax.axhline)(bound, color=LIMIT, linestyle="--")


def waveforms_picture(material: Material) -> str:
    """Draw the first second of effort of every path, for print and for readers without script."""
    names = list(material.recordings)
    start_s = effort_start_s(material)

    def draw(figure: Figure) -> None:
        axes = figure.subplots(len(names), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for ax, name in zip(axes, names, strict=True):
            cut = material.recordings[name].cut(start_s, start_s + STATIC_S)
            times_s, samples_uv = envelope(cut.times_s, cut.samples_uv[:, 0])
            ax.plot(times_s, samples_uv, color=INK, linewidth=0.6)
            ax.set_title(name, fontweight="bold")
            _mark_discharges(ax, material, name, start_s)
            ax.set_ylabel("µV, negative up")
            ax.margins(y=0.14)  # room for the ticks
        axes[0].invert_yaxis()
        axes[-1].set_xlim(start_s, start_s + STATIC_S)
        axes[-1].set_xlabel("time on the scenario's clock (s)")

    return drawn(draw, 0.5 + 1.75 * len(names))


def _mark_discharges(ax: Axes, material: Material, path: str, start_s: float) -> None:
    """Draw ticks as the viewer does: true discharges along the top, found ones along the bottom."""
    units = () if material.truth is None or path != "truth" else material.truth.units
    found = material.findings[path].units if path in material.findings else ()
    ticks = [(u.spike_times_s, 0.93, u.id) for u in units if u.id in material.units]
    ticks += [(f.discharge_times_s, 0.0, material.true_unit(path, f.id) or 0) for f in found]
    for times_s, low, unit in ticks:
        seen_s = times_s[(times_s >= start_s) & (times_s < start_s + STATIC_S)]
        ax.vlines(seen_s, low, low + 0.07, material.colour(unit),
                  transform=ax.get_xaxis_transform())  # fmt: skip


def effort_start_s(material: Material) -> float:
    """Return when the first contraction has had half a second to settle, in seconds."""
    events = () if material.truth is None else material.truth.events
    for event in events:
        if event.kind == "contraction":
            return min(event.onset_s + 0.5, max(event.onset_s, event.offset_s - STATIC_S))
    return min((r.start_s for r in material.recordings.values()), default=0.0)


def envelope(times_s: Floats, samples_uv: Floats, columns: int = COLUMNS) -> tuple[Floats, Floats]:
    """Keep the smallest and largest sample of each column, in their order of time."""
    block = samples_uv.size // columns
    if block < 3:
        return times_s, samples_uv
    n = samples_uv.size // block
    rows = np.nan_to_num(samples_uv[: n * block]).reshape(n, block)
    ends = np.sort(np.stack([rows.argmin(axis=1), rows.argmax(axis=1)], axis=1), axis=1)
    kept = (ends + np.arange(n)[:, None] * block).reshape(-1)
    return times_s[kept], samples_uv[kept]


def muaps_picture(material: Material) -> str:
    """Draw each unit's true MUAP in colour behind the MUAP that each path found."""
    truth = {} if material.truth is None else {unit.id: unit for unit in material.truth.units}
    units = [truth[unit] for unit in material.units if unit in truth]
    names = [
        name
        for name, found in material.findings.items()
        if name in material.recordings or any(unit.muap_uv.size for unit in found.units)
    ]

    def draw(figure: Figure) -> None:
        grid = figure.subplots(len(units), len(names), sharex=True, sharey="row", squeeze=False)
        for row, unit in zip(grid, units, strict=True):
            for ax, name in zip(row, names, strict=True):
                _draw_muap(ax, material, unit, name)
            row[0].set_ylabel(f"unit {unit.id}\nµV, negative up")
            row[0].invert_yaxis()
        for ax in grid[-1]:
            ax.set_xlabel("time from the main peak (ms)")
            ax.set_xlim(*MUAP_SPAN_MS)

    return drawn(draw, 0.4 + 1.65 * len(units))


def _draw_muap(ax: Axes, material: Material, unit: MotorUnit, path: str) -> None:
    true_uv = unit.muap_uv[:, 0]
    main = int(np.argmax(np.abs(true_uv)))
    rate_hz = material.truth.muap_rate_hz if material.truth else 1.0
    ax.plot(_around(true_uv.size, main, rate_hz), true_uv, color=material.colour(unit.id),
            linewidth=3.0, alpha=0.45, solid_capstyle="round")  # fmt: skip
    found = _found(material, path, unit.id)
    if found is None or found.muap_uv.size == 0:
        ax.set_title(f"{path}: not found", color=GREY, fontstyle="italic")
        return
    found_uv = found.muap_uv[:, 0]
    # The same phase is aligned on both: a filter may make another one the largest.
    peak = int(np.argmax(found_uv * np.sign(true_uv[main])))
    rate_hz = material.findings[path].muap_rate_hz or rate_hz
    ax.plot(_around(found_uv.size, peak, rate_hz), found_uv, color=INK, linewidth=1.0)
    amplitude_uv = found.measures.get("amplitude_uv", float(np.ptp(found_uv)))
    ax.set_title(f"{path}: found {amplitude_uv:.0f} µV, true {unit.peak_to_peak_uv:.0f} µV p-p")


def _around(n_samples: int, peak: int, rate_hz: float) -> Floats:
    return np.asarray((np.arange(n_samples) - peak) / rate_hz * 1e3)


def _found(material: Material, path: str, unit: int) -> FoundUnit | None:
    for found in material.findings[path].units:
        if material.true_unit(path, found.id) == unit:
            return found
    return None


def raster_picture(material: Material, path: str) -> str:
    """Draw the whole pool's discharges over the effort, and below it truth beside one path."""

    def draw(figure: Figure) -> None:
        lanes = len(material.units) + 1
        effort, pool, below = figure.subplots(
            3, 1, sharex=True, height_ratios=(0.6, 2.4, 0.3 + 0.32 * lanes)
        )
        _draw_effort(effort, material)
        _draw_pool(pool, material)
        _draw_lanes(below, material, path)
        below.set_xlabel("time on the scenario's clock (s)")

    return drawn(draw, 4.4 + 0.36 * len(material.units))


def _draw_effort(ax: Axes, material: Material) -> None:
    truth = material.truth
    if truth is not None and truth.effort.size:
        ax.plot(truth.effort_times_s[::10], 100 * truth.effort[::10], color=INK, linewidth=1.2)
        ax.set_xlim(truth.effort_times_s[0], truth.effort_times_s[-1])
    ax.set_ylim(bottom=0)
    ax.set_ylabel("effort\n(% MVC)")


def _draw_pool(ax: Axes, material: Material) -> None:
    units = () if material.truth is None else material.truth.units
    for unit in units:
        is_shown = unit.id in material.units
        ax.scatter(
            unit.spike_times_s, np.full(unit.spike_times_s.size, unit.id), marker="|",
            s=22 if is_shown else 6, linewidths=1.1 if is_shown else 0.6,
            color=material.colour(unit.id) if is_shown else "#75818c",
            zorder=3 if is_shown else 2, rasterized=True,
        )  # fmt: skip
    ax.set_ylabel("unit of the pool\n(recruitment order)")
    ax.set_title(f"all {len(units)} active units; those shown below in colour")


def _draw_lanes(ax: Axes, material: Material, path: str) -> None:
    truth = {} if material.truth is None else {unit.id: unit for unit in material.truth.units}
    for lane, true in enumerate(material.units):
        if true in truth:
            ax.vlines(truth[true].spike_times_s, lane - 0.42, lane - 0.02,
                      color=material.colour(true), linewidth=1.0, rasterized=True)  # fmt: skip
    lane_of: dict[int | str, int] = {unit: lane for lane, unit in enumerate(material.units)}
    for found in material.findings[path].units:
        unit = material.lane(path, found.id)
        lane = lane_of.setdefault(unit, len(lane_of))
        ax.vlines(found.discharge_times_s, lane + 0.02, lane + 0.42, linewidth=1.0,
                  color=INK if isinstance(unit, int) else GREY, rasterized=True)  # fmt: skip
    ax.set_yticks(range(len(lane_of)), [f"unit {u}" if isinstance(u, int) else u for u in lane_of])
    ax.set_ylim(len(lane_of) - 0.4, -0.6)
    ax.set_title(f"upper half of a lane, coloured: truth; lower half, dark: found by {path}")
    ax.grid(visible=False, axis="y")


def budget_picture(rows: list[Line]) -> str:
    """Draw a noise budget's contributions, its total and what was measured, as bars."""

    def draw(figure: Figure) -> None:
        draw_budget(figure.subplots(), rows)

    return drawn(draw, 0.7 + 0.3 * len(rows), 0.66 * WIDTH_IN)


def draw_budget(ax: Axes, rows: list[Line]) -> None:
    """Draw a noise budget's rows, ``name`` and ``uv_rms`` each, as bars from top to bottom."""
    names = [str(row.get("name", "")) for row in rows]
    values = [float(row.get("uv_rms") or 0.0) for row in rows]
    colours = {"total": "#4d5a66", "measured": "#c24e00"}
    bars = ax.barh(names, values, height=0.66,
                   color=[colours.get(name, "#7fb2d6") for name in names])  # fmt: skip
    ax.bar_label(bars, labels=[f"{value:.3g}" for value in values], padding=4)
    ax.invert_yaxis()
    ax.margins(x=0.08)
    ax.set_xlabel("noise at the electrode (µV rms)")
    ax.grid(visible=False, axis="y")


def alignment_picture(windows: dict[str, list[list[float]]]) -> str:
    """Draw what lag is left in each window of the record, one line per path."""
    from matplotlib.ticker import MaxNLocator

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        for (path, rows), colour, marker in zip(
            windows.items(), ("#0072b2", "#c24e00", "#007a58", "#9b3f8c"), "osD^", strict=False
        ):
            times_s, lags_us = np.asarray(rows, dtype=np.float64).T
            ax.plot(times_s, lags_us, color=colour, marker=marker, markersize=4, linewidth=1,
                    label=path)  # fmt: skip
        ax.axhline(0.0, color="#8a949e", linewidth=0.8)
        ax.yaxis.set_major_locator(MaxNLocator(nbins=6, min_n_ticks=3))
        ax.set_xlabel("time on the scenario's clock (s)")
        ax.set_ylabel("lag left (µs)")
        ax.legend(loc="upper right", ncols=4)

    return drawn(draw, 2.4)
