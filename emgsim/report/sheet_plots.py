"""What the tests of an amplifier plot: curves of a reading, drawn by the units in their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from emgsim.recording import Floats
from emgsim.report.material import COLOURS
from emgsim.report.notation import quantity
from emgsim.report.pictures import LIMIT, drawn
from emgsim.verdict import Limit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT_IN, WIDTH_IN = 2.6, 5.6
COLUMNS = 1200  # points of a line
WIDE = 100.0  # largest over smallest frequency: such a scale is logarithmic
FEW = 60  # points that are marked one by one
MODELS = frozenset(("declared", "expected", "fitted", "model"))  # words of a line without points
PAIRS = ("driven_channel", "listening_channel")  # columns of what is drawn as a table
TAILS = {"_nv_sqrt_hz": "nV/√Hz", "_percent": "%", "_lsb": "LSB", "_deg": "°", "_rad": "rad",
         "_nv": "nV", "_nf": "nF", "_ma": "mA", "_mohm": "MΩ", "_dbfs": "dBFS"}  # fmt: skip

Curves = Mapping[str, Floats]

# How the limit of a test stands in its curves; of all other tests it is of something else.
LIMITS_IN: Mapping[str, str] = {
    "freq.low_corner": "frequency", "freq.high_corner": "frequency",
    "freq.ripple": "about the declared", "noise.density": "level",
    "linearity.inl": "both ways", "quantisation.dnl": "both ways",
    "distortion.thd": "below the largest", "distortion.imd": "below the largest",
}  # fmt: skip


def curves_picture(
    curves: Curves, *, limits: Sequence[Limit] = (), is_negative_up: bool = False
) -> str | None:
    """Draw curves over the first of them; None where there is nothing to draw.

    Parameters
    ----------
    curves
        By name with its unit, shape ``(n,)`` each, the abscissa first. Those in one unit share an
        axis; each further unit has one below. Columns of driven and listening channels are drawn
        as a table of the largest value of each pair.
    limits
        Of the readings that have these curves; drawn where `LIMITS_IN` says how they stand there.
    is_negative_up
        As EMG is drawn.
    """
    if not curves or any(np.size(values) < 2 for values in curves.values()):
        return None
    if set(PAIRS) <= set(curves):
        return _pairs_picture(curves)
    (name_x, x), *others = curves.items()
    rows: dict[str, list[tuple[str, Floats]]] = {}
    for name, y in others:
        if np.shape(y) == np.shape(x):
            rows.setdefault(_named(name)[1], []).append((name, np.asarray(y, np.float64)))
    if not rows:
        return None
    return _lines_picture(name_x, np.asarray(x, np.float64), rows, limits, is_negative_up)


def _lines_picture(
    name_x: str,
    x: Floats,
    rows: Mapping[str, list[tuple[str, Floats]]],
    limits: Sequence[Limit],
    is_negative_up: bool,
) -> str:
    from matplotlib.ticker import StrMethodFormatter

    order = np.argsort(x, kind="stable")

    def draw(figure: Figure) -> None:
        grid = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
        for ax, (unit, lines) in zip(grid, rows.items(), strict=True):
            _draw(ax, x[order], [(name, y[order]) for name, y in lines], unit)
            if is_negative_up:
                ax.invert_yaxis()
                ax.set_ylabel(f"{unit}, negative up")
        for limit in limits:
            _draw_limit(grid[0], limit, x[order], [y[order] for _, y in next(iter(rows.values()))])
        grid[-1].set_xlabel(_axis(*_named(name_x)))
        if name_x.endswith("_hz") and _is_wide(x):
            grid[-1].set_xscale("log")
            grid[-1].xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))

    return drawn(draw, HEIGHT_IN + 1.5 * (len(rows) - 1), WIDTH_IN)


def _draw_limit(ax: Axes, limit: Limit, x: Floats, lines: list[Floats]) -> None:
    """Draw a limit as its test means it: the curves of the first unit, the declared one last."""
    kinds = (how for id, how in LIMITS_IN.items() if f"{limit.measurement}.".startswith(f"{id}."))
    how = next(kinds, "")
    bounds = [bound for bound in (limit.low, limit.high) if bound is not None]
    for bound in bounds:
        if how == "frequency":
            ax.axvline(bound, color=LIMIT, linestyle="--")
        elif how == "level":
            ax.axhline(bound, color=LIMIT, linestyle="--")
        elif how == "below the largest":
            ax.axhline(lines[0].max() + 20 * np.log10(bound / 100), color=LIMIT, linestyle="--")
        elif how:
            about = lines[-1] if how == "about the declared" else np.zeros(x.size)
            for side in (-bound, bound):
                ax.plot(*_thinned(x, about + side), color=LIMIT, linestyle="--", linewidth=1.0)


def _pairs_picture(curves: Curves) -> str:
    """Draw the largest value of each pair of channels as a table of colours and figures."""
    name = [*curves][-1]
    driven, heard = (np.asarray(curves[pair], np.int64) - 1 for pair in PAIRS)
    n = int(max(driven.max(), heard.max())) + 1
    table = np.full((n, n), -np.inf)
    np.maximum.at(table, (driven, heard), np.asarray(curves[name], np.float64))
    table[np.isneginf(table)] = np.nan

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        image = ax.imshow(table, cmap="viridis", aspect="auto")
        middle = float(np.nanmean(table))
        for i, j in zip(*np.nonzero(np.isfinite(table)), strict=True):
            colour = "white" if table[i, j] < middle else "black"
            ax.text(j, i, f"{table[i, j]:.0f}", ha="center", va="center", color=colour)
        ax.set_xticks(range(n), [str(k + 1) for k in range(n)])
        ax.set_yticks(range(n), [str(k + 1) for k in range(n)])
        ax.set_xlabel("channel that hears")
        ax.set_ylabel("channel that is driven")
        ax.grid(visible=False)
        figure.colorbar(image, label=_axis(*_named(name)))

    return drawn(draw, HEIGHT_IN, WIDTH_IN)


def _draw(ax: Axes, x: Floats, lines: list[tuple[str, Floats]], unit: str) -> None:
    """Draw the curves of one unit: few points as points, models as lines."""
    for (name, y), colour in zip(lines, COLOURS, strict=False):
        shown_x, shown_y = _thinned(x, y)
        is_model = not MODELS.isdisjoint(name.split("_"))
        ax.plot(shown_x, shown_y, color=colour, label=_named(name)[0],
                linewidth=1.0 if shown_x.size > FEW or is_model else 0.0,
                linestyle="--" if is_model else "-",
                marker="" if shown_x.size > FEW or is_model else "o", markersize=3)  # fmt: skip
    if len(lines) > 1:
        ax.legend(loc="best", fontsize=8)
    ax.set_ylabel(_axis(_named(lines[0][0])[0] if len(lines) == 1 else "", unit))


def _named(name: str) -> tuple[str, str]:
    """Return the words and the unit of a curve's name."""
    for tail, unit in TAILS.items():
        if name.endswith(tail):
            return name.removesuffix(tail).replace("_", " "), unit
    return quantity(name)


def _axis(words: str, unit: str) -> str:
    return f"{words} ({unit})" if words and unit else words or unit


def _is_wide(values: Floats) -> bool:
    """Tell whether values are best shown on a logarithmic scale."""
    return bool(values.size and values.min() > 0 and values.max() > WIDE * values.min())


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return at most so many points of a curve as a picture can show."""
    if x.size <= COLUMNS:
        return x, y
    if _is_wide(x):
        kept = np.unique(np.searchsorted(x, np.geomspace(x[0], x[-1], COLUMNS)))
        kept = np.minimum(kept, x.size - 1)
    else:
        kept = np.unique(np.linspace(0, x.size - 1, COLUMNS).astype(np.int64))
    return x[kept], y[kept]
