"""The gallery as one self-contained page: each exhibit's picture, sound and truth.

A screen is ten divisions wide and eight tall, EMG is drawn negative up, and sound is what is on
the screen: its full scale is what stands at the screen's upper edge.
"""

from __future__ import annotations

import base64
import io
import math
import wave
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from emgsim.recording import Floats, Recording
from emgsim.report.templates import template_of

TEMPLATE = "gallery.html.jinja"
DIVISIONS = 10  # across
UP, DOWN = 4, 4  # divisions above and below the baseline, as most machines begin
TALL = UP + DOWN
DIV_PX = 70  # height of a division in a picture's own units
SINGLE_PX, HALF_PX = 200, 100  # width of a division: alone, and with a raster beside it
OVERVIEW_PX = (2000, 90)
MARGIN_PX = 90  # left of a raster, for the times of its sweeps
MOST_TICKS = 60  # more of them would be a bar
SWEEP_AT = 0.7  # of a lane's height from its top: where the baseline of a sweep in a raster lies
SOUND_HZ = 16_000.0  # 7 kHz are left, as of an examiner's loudspeaker; keeps the page small
LARGEST_CODE = 32_767


@dataclass(frozen=True, kw_only=True)
class Sweeps:
    """Sweeps of one length, alone on a screen or one below the other in a raster."""

    starts_s: tuple[float, ...]
    sweep_s_div: float
    gain_uv_div: float
    words: str = ""  # what makes a sweep begin, for its reader


@dataclass(frozen=True, kw_only=True)
class TruthRow:
    """One line of what the simulator knows: a generator, a motor unit, or a kind of artefact.

    What cannot be said of it is None: a rate of fewer than three discharges, for one.
    """

    kind: str
    source: str
    onset_s: float
    offset_s: float
    n: int | None = None  # of discharges or occurrences
    grade: str = ""
    rate_hz: float | None = None  # of the median interval
    rates_hz: tuple[float, float] | None = None  # of the 95th and the 5th centile of intervals
    cov: float | None = None  # of intervals
    peak_to_peak_uv: float | None = None


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """One thing to see and to hear, with its truth and the scenario that makes it."""

    id: str
    title: str
    group: str
    words: str
    recording: Recording
    screen: Sweeps
    raster: Sweeps | None = None
    rows: tuple[TruthRow, ...] = ()
    n_rows_left_out: int = 0
    conditions: tuple[str, ...] = ()
    toml: str = ""
    marks_s: Floats = field(default_factory=lambda: np.zeros(0))  # true discharges of those shown


def write_gallery(path: Path, exhibits: Iterable[Exhibit], *, seed: int) -> Path:
    """Write the page.

    Parameters
    ----------
    path
        File to write.
    exhibits
        In the order of the page; each is let go when it is drawn. Groups stand together.
    seed
        Of all exhibits.

    Returns
    -------
    Path
        The page: one file, whose bytes depend on the exhibits alone.
    """
    template = template_of(TEMPLATE, {"spaced": lambda name: name.replace("_", " ")})
    cards = [_card(exhibit) for exhibit in exhibits]
    groups = [(name, list(some)) for name, some in groupby(cards, lambda card: card["group"])]
    text = template.render(groups=groups, seed=seed)
    path.write_text(text, encoding="utf-8")
    return path


def _card(exhibit: Exhibit) -> dict[str, Any]:
    """Return what the template shows of an exhibit."""
    recording, screen, raster = exhibit.recording, exhibit.screen, exhibit.raster
    div_px = SINGLE_PX if raster is None else HALF_PX
    return {
        "id": exhibit.id, "title": exhibit.title, "group": exhibit.group, "words": exhibit.words,
        "rows": exhibit.rows, "n_rows_left_out": exhibit.n_rows_left_out,
        "conditions": exhibit.conditions, "toml": exhibit.toml,
        "screen": drawn(recording, screen, div_px, exhibit.marks_s),
        "raster": raster and drawn(recording, raster, div_px),
        "overview": _overview(exhibit),
        "sound": sound(recording, full_scale_uv=UP * screen.gain_uv_div),
        "duration_s": recording.duration_s,
    }  # fmt: skip


def scale_text(sweep_s_div: float, gain_uv_div: float) -> str:
    """Write sweep and gain as an EMG machine does.

    Examples
    --------
    >>> scale_text(0.01, 50.0), scale_text(1.0, 2000.0)
    ('10 ms/div  50 µV/div', '1 s/div  2 mV/div')
    """
    sweep = f"{sweep_s_div:g} s" if sweep_s_div >= 0.9995 else f"{1e3 * sweep_s_div:g} ms"
    gain = f"{gain_uv_div:g} µV" if gain_uv_div < 1000 else f"{gain_uv_div / 1000:g} mV"
    return f"{sweep}/div  {gain}/div"


def drawn(
    recording: Recording, sweeps: Sweeps, div_px: int = SINGLE_PX, marks_s: Floats | None = None
) -> dict[str, Any]:
    """Return a picture's lines in its own units, y downwards as in SVG; negative EMG goes up.

    Parameters
    ----------
    recording
        Its first channel is drawn.
    sweeps
        One: the baseline lies `UP` divisions below the upper edge. Several: each has a lane.
    div_px
        A division's width in the picture's units.
    marks_s
        Times that get a tick at the lower edge of a single sweep.

    Returns
    -------
    dict
        ``width``, ``height``, ``margin``, ``grid`` (path), ``lanes`` (``start_s``, ``zero``,
        ``points``, and where it leaves the picture ``above`` and ``below``), ``ticks``, ``words``,
        ``scale``.
    """
    width, height, n = DIVISIONS * div_px, TALL * DIV_PX, len(sweeps.starts_s)
    span_s = DIVISIONS * sweeps.sweep_s_div
    lanes = []
    for k, start_s in enumerate(sweeps.starts_s):
        zero = UP * DIV_PX if n == 1 else (k + SWEEP_AT) * height / n
        shares, samples_uv = _columns(recording, start_s, span_s, width // 2)
        x, y = width * shares, zero + samples_uv * (DIV_PX / sweeps.gain_uv_div)
        lanes.append({
            "start_s": start_s, "zero": round(zero, 1), "points": _points(x, y),
            "above": _runs(x[y < 0]), "below": _runs(x[y > height]),
        })  # fmt: skip
    return {
        "width": width, "height": height, "margin": MARGIN_PX if n > 1 else 0,
        "grid": _grid(div_px), "lanes": lanes, "words": sweeps.words,
        "ticks": _ticks(marks_s, sweeps.starts_s[0], span_s, width),
        "scale": scale_text(sweeps.sweep_s_div, sweeps.gain_uv_div),
    }  # fmt: skip


def _columns(
    recording: Recording, start_s: float, span_s: float, n_columns: int
) -> tuple[Floats, Floats]:
    """Return shares of the sweep, and samples: all, or each column's smallest and largest."""
    cut = recording.cut(start_s, start_s + span_s)
    shares, samples_uv = (cut.times_s - start_s) / span_s, cut.samples_uv[:, 0]
    block = int(span_s * recording.rate_hz) // n_columns
    n = samples_uv.size // max(block, 1)
    if block < 3 or n == 0:
        return np.asarray(shares), samples_uv
    rows = samples_uv[: n * block].reshape(n, block)
    ends = np.sort(np.stack([rows.argmin(axis=1), rows.argmax(axis=1)], axis=1), axis=1)
    kept = (ends + np.arange(n)[:, None] * block).reshape(-1)
    return np.asarray(shares[kept]), samples_uv[kept]


def _points(x: Floats, y: Floats) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def _runs(x: Floats) -> list[float]:
    """Return where to mark what is taller than the screen, not closer than the marks are wide."""
    return sorted({4.0 * math.floor(one / 4.0) for one in x.tolist()})


def _grid(div_px: int) -> str:
    """Return the graticule's lines as a path."""
    across = "".join(f"M0 {k * DIV_PX}H{DIVISIONS * div_px}" for k in range(TALL + 1))
    return across + "".join(f"M{k * div_px} 0V{TALL * DIV_PX}" for k in range(DIVISIONS + 1))


def _ticks(marks_s: Floats | None, start_s: float, span_s: float, width: int) -> list[float]:
    if marks_s is None:
        return []
    shares = (marks_s - start_s) / span_s
    seen = shares[(shares >= 0) & (shares < 1)]
    return np.round(width * seen, 1).tolist() if seen.size <= MOST_TICKS else []


def _overview(exhibit: Exhibit) -> dict[str, Any]:
    """Return the whole recording as a strip, and what part of it is on the screen."""
    width, height = OVERVIEW_PX
    recording, screen = exhibit.recording, exhibit.screen
    shares, samples_uv = _columns(recording, 0.0, recording.duration_s, width // 2)
    most_uv = max(float(np.abs(samples_uv).max(initial=0.0)), screen.gain_uv_div)
    px = width / recording.duration_s
    return {
        "width": width, "height": height,
        "points": _points(width * shares, height / 2 * (1 + 0.96 * samples_uv / most_uv)),
        "left": round(screen.starts_s[0] * px, 1),
        "seen": round(max(3.0, DIVISIONS * screen.sweep_s_div * px), 1),
    }  # fmt: skip


def sound(recording: Recording, *, full_scale_uv: float) -> str:
    """Return a recording's first channel as the data address of a WAV file of 16 bits.

    Parameters
    ----------
    recording
        Of any rate; it is resampled to `SOUND_HZ` without delay.
    full_scale_uv
        Microvolts of the largest code. What is larger is clipped, as in a loudspeaker.
    """
    heard_uv = _resampled(recording.samples_uv[:, 0], recording.rate_hz)
    share = np.clip(np.nan_to_num(heard_uv) / full_scale_uv, -1.0, 1.0)
    codes: NDArray[np.int16] = np.rint(LARGEST_CODE * share).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setparams((1, 2, int(SOUND_HZ), 0, "NONE", ""))
        made.writeframes(codes.tobytes())
    return "data:audio/wav;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _resampled(samples_uv: Floats, rate_hz: float) -> Floats:
    ratio = math.gcd(round(rate_hz), round(SOUND_HZ))
    up, down = round(SOUND_HZ) // ratio, round(rate_hz) // ratio
    return np.asarray(signal.resample_poly(samples_uv, up, down), np.float64)
