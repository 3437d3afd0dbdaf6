"""The data sheet of an amplifier: what was measured of it, as one page that asks for nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emgsim.recording import Floats
from emgsim.records.journal import Line, write_whole
from emgsim.records.record import RunRecord
from emgsim.report.notation import (
    decimals,
    number,
)
from emgsim.report.page import BADGES
from emgsim.report.sheet_plots import curves_picture
from emgsim.report.sheet_table import too_uncertain
from emgsim.report.templates import template_of
from emgsim.verdict import Measurement

SHEET = "sheet.html"
TEMPLATE = "sheet.html.jinja"
SIGNS = {"<=": "≤ ", ">=": "≥ "}  # of a value that is only a bound

GRAVEST_FIRST = (
    "fail", "conditional_fail", "inconclusive", "conditional_pass", "pass", "not_judged",
)  # fmt: skip

EMG = "muap."  # what is plotted of these is drawn as EMG is

# What a report on surface EMG must say of its amplifier (ISEK standards, Merletti 1999), and beside
# it what its tests found: the field, what is declared of it, and the measurements of it.
FIELDS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("Input impedance", (), ("zin.resistance", "zin.capacitance")),
    ("Common-mode rejection", (), ("cmrr.balanced", "cmrr.imbalance")),
    ("Signal-to-noise ratio, full scale over noise", (), ("dynamic_range",)),
    ("Noise, referred to the input", ("noise_uv_rms",), ("noise.rms",)),
    ("Range, referred to the input", ("range_uv",), ("saturation.level",)),
    ("Gain, deviation from the declared one", (), ("gain.accuracy",)),
    ("High-pass", ("highpass",), ("freq.low_corner",)),
    ("Low-pass", ("lowpass",), ("freq.high_corner",)),
    ("Converter", ("code_bits", "scale_uv_per_count"), ("enob", "quantisation.lsb")),
    ("Sampling rate, and deviation from it", ("rate_hz",), ("fs.accuracy",)),
)


def write_sheet(folder: Path, record: RunRecord) -> Path:
    """Write ``sheet.html`` into the folder of a run of metrology.

    Parameters
    ----------
    folder
        The run's folder, with the files of its curves. What is missing is left out.
    record
        The run.

    Returns
    -------
    Path
        The page, whose bytes depend on the record and the files alone.
    """
    template = template_of(TEMPLATE, {"spread": spread_text, "ratio": ratio_text})
    mood, mark = BADGES.get(record.verdict, ("none", "–"))
    plots = _plots(folder, record)
    text = template.render(
        record=record,
        badge={"mood": mood, "mark": mark, "text": record.verdict.replace("_", " ")},
        moods={verdict: mood for verdict, (mood, _) in BADGES.items()},
        signs=SIGNS,
        fields=isek_fields(record),
        tests=_tests(record),
        self_test=[m for m in record.measurements if m.id not in record.readings],
        amiss=_amiss(record),
        counts=_counts(record),
        poor=too_uncertain(record),
        plots=plots,
        traceability=record.table()["traceability"],
        plot_of={id: plot["anchor"] for plot in plots for id in plot["ids"]},
    )
    page = folder / SHEET
    write_whole(page, text)
    return page


def isek_fields(record: RunRecord) -> list[Line]:
    """Return what is to be reported of an amplifier: each field, declared and measured."""
    found = {m.id: m for m in record.measurements}
    declared = _declared(record.device)
    return [
        {
            "name": name,
            "declared": "; ".join(declared[key] for key in keys if key in declared),
            "measured": [m for id in ids for m in _of(found, id)],
        }
        for name, keys, ids in FIELDS
    ]


def _of(found: Mapping[str, Measurement], id: str) -> list[Measurement]:
    """Return the measurements of a test on the first channel."""
    return [
        m
        for name, m in found.items()
        if (name == id or name.startswith(f"{id}."))
        and not is_other_channel(name)
        and math.isfinite(m.value)
    ]


def _declared(device: Line) -> dict[str, str]:
    """Return what a profile declares, in words."""
    if not device:
        return {}
    low_hz, high_hz = device["band_hz"]
    order = device["highpass_order"]
    high_pass = f"{number(low_hz)} Hz, Butterworth of order {order}" if order else "none: DC"
    return {
        "rate_hz": f"{number(device['rate_hz'])} Hz",
        "range_uv": f"±{number(device['range_uv'] / 1e3)} mV",
        "noise_uv_rms": f"{number(device['noise_uv_rms'])} µV rms",
        "highpass": high_pass,
        "lowpass": f"{number(high_hz)} Hz, Butterworth of order {device['lowpass_order']}",
        "code_bits": f"{device['code_bits']} bit",
        "scale_uv_per_count": f"{number(device['scale_uv_per_count'])} µV a code",
    }


def spread_text(measurement: Measurement) -> str:
    """Write the expanded uncertainty with two digits, in the decimals of the value."""
    low, high = measurement.low, measurement.high
    if low is None or high is None or not math.isfinite(high - low) or high == low:
        return "–"
    places = decimals(measurement)
    half = (high - low) / 2
    return number(half, 2) if places is None else f"{half:.{places}f}"


def ratio_text(ratio: float | None) -> str:
    """Write a test-uncertainty ratio with two digits; beyond a thousand it says no more."""
    return "> 1000" if ratio is not None and ratio > 1000 else number(ratio, 2)


def _tests(record: RunRecord) -> list[Line]:
    """Return each test with its rows: a measurement, and how it was made."""
    tests: dict[str, Line] = {}
    for m in record.measurements:
        how = record.readings.get(m.id)
        if how is not None:
            first = {"title": how.get("title", ""), "method": how.get("method", ""), "rows": []}
            test = tests.setdefault(str(how.get("test", m.id)), first)
            test["rows"].append({"m": m, "how": how})
    return list(tests.values())


def _counts(record: RunRecord) -> list[tuple[str, int]]:
    """Return how many measurements have each verdict, the gravest first."""
    found = [m.verdict for m in record.measurements if m.id in record.readings]
    return [(word, found.count(word)) for word in GRAVEST_FIRST if word in found]


def _amiss(record: RunRecord) -> list[Measurement]:
    """Return what did not pass outright, the gravest first."""
    found = [m for m in record.measurements if m.verdict in GRAVEST_FIRST[:-2]]
    return sorted(found, key=lambda m: GRAVEST_FIRST.index(m.verdict))


def _plots(folder: Path, record: RunRecord) -> list[Line]:
    """Return the pictures of the first channel, each once: several readings may share curves."""
    plots: dict[tuple[object, ...], Line] = {}
    for m in record.measurements:
        how = record.readings.get(m.id, {})
        curves = {} if is_other_channel(m.id) else _curves(folder, how.get("curves"))
        if not curves:
            continue
        same = tuple((name, values.tobytes()) for name, values in curves.items())
        plot = plots.setdefault(same, {"curves": curves, "titles": [], "of": []})
        plot["of"].append(m)
        if how.get("title") not in plot["titles"]:
            plot["titles"].append(how.get("title", m.id))
    drawn = ({**plot, "picture": _picture(plot["curves"], plot["of"])} for plot in plots.values())
    return [
        {**plot, "anchor": f"plot-{k}", "ids": [m.id for m in plot["of"]]}
        for k, plot in enumerate((p for p in drawn if p["picture"]), start=1)
    ]


def _picture(curves: dict[str, Floats], of: list[Measurement]) -> str | None:
    """Draw curves with the limits of the readings that have them."""
    limits = [m.limit for m in of if m.limit is not None]
    is_emg = all(m.id.startswith(EMG) for m in of)
    return curves_picture(curves, limits=limits, is_negative_up=is_emg)


def is_other_channel(id: str) -> bool:
    """Tell whether a reading is of another channel than the first: its id ends so, as ``.ch2``."""
    last = id.rpartition(".")[2]
    return last.startswith("ch") and last.removeprefix("ch").isdigit()


def _curves(folder: Path, name: Any) -> dict[str, Floats]:
    """Read the curves of a reading; none where there are none."""
    if not isinstance(name, str) or not (folder / name).is_file():
        return {}
    inside = (folder / name).resolve().is_relative_to(folder.resolve())
    if not inside:
        return {}
    with np.load(folder / name, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}
