"""The data sheet of an amplifier: what it says, what it leaves out, and that it is alone."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emgsim.records.record import RunRecord
from emgsim.report.sheet import isek_fields, ratio_text, spread_text, write_sheet
from emgsim.report.sheet_plots import curves_picture
from emgsim.report.sheet_table import sheet_table
from emgsim.verdict import Limit, Measurement, judge

DEVICE = {
    "maker": "EMGSIM", "model": "NA-4", "group": "needle EMG amplifier", "n_channels": 4,
    "rate_hz": 48_000.0, "band_hz": [10.0, 10_000.0], "highpass_order": 2, "lowpass_order": 4,
    "range_uv": 10_000.0, "noise_uv_rms": 0.6, "code_bits": 24, "scale_uv_per_count": 0.001192,
}


def found(id: str, value: float, expanded: float, unit: str, **bounds: float) -> Measurement:
    """Return a measurement with its interval, judged if it has bounds."""
    m = Measurement(id=id, value=value, unit=unit, low=value - expanded, high=value + expanded)
    limit = Limit(measurement=id, unit=unit, source="our default, after IEC 60601-2-25", **bounds)
    return judge(m, limit) if bounds else m


def how(title: str, **more: object) -> dict[str, object]:
    """Return how a measurement was made."""
    parts = [{"name": "noise <b>", "standard": 0.1, "freedom": 20.0}]
    return {"title": title, "method": "sine fit", "conditions": "200 Hz", "ratio": 12.0,
            "uncertainty": 0.2, "coverage_factor": 2.0, "components": parts,
            "rests_on": ["CAL-1"], "curves": None, **more}


@pytest.fixture
def record() -> RunRecord:
    """Return the record of a run with a pass, a fail, a report and a skipped test."""
    measurements = (
        found("gain.accuracy", 0.26, 0.11, "%", low=-5.0, high=5.0),
        found("gain.accuracy.ch2", 7.0, 0.11, "%", low=-5.0, high=5.0),
        found("zin.resistance", 408.0, 42.0, "Mohm", low=100.0),
        found("noise.density", 5.27, 0.14, "nV/sqrt(Hz)"),
        Measurement(id="self_test.offset.loopback", value=0.1, unit="%", verdict="pass"),
    )
    return RunRecord(
        run_id="R1", status="completed", exit_code=1, started="2026-11-23T09:28:37+00:00",
        device=DEVICE, measurements=measurements,
        identities={"device": {"maker": "EMGSIM", "model": "NA-4", "serial": "S-7",
                               "firmware": "1.0"}},
        readings={m.id: how(f"Test of {m.id.split('.')[0]}", test=m.id.split(".")[0])
                  for m in measurements[:-1]},
        skipped=({"id": "crosstalk", "title": "Crosstalk", "why": "state unavailable: <none>"},),
        certificates={"CAL-1": {"of": "gain of the source", "due": "2027-01-01",
                                "has_expired": True}},
    )


def test_the_sheet_says_what_is_asked_of_a_report_on_emg(record: RunRecord):
    """Input impedance, CMRR, SNR, range and gain, filters, converter and rate (ISEK 1999)."""
    fields = {field["name"]: field for field in isek_fields(record)}
    assert len(fields) == 10
    assert fields["High-pass"]["declared"] == "10 Hz, Butterworth of order 2"
    assert fields["Converter"]["declared"] == "24 bit; 0.001192 µV a code"
    gain = fields["Gain, deviation from the declared one"]["measured"]
    assert [m.id for m in gain] == ["gain.accuracy"]
    assert [m.value for m in fields["Input impedance"]["measured"]] == [408.0]


def test_the_page_asks_for_nothing_and_escapes_what_it_is_told(record: RunRecord, tmp_path: Path):
    """No script, no address but those of data, and a foreign text stays text."""
    text = write_sheet(tmp_path, record).read_text("utf-8")
    assert "<script" not in text
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    assert "state unavailable: &lt;none&gt;" in text
    assert "noise &lt;b&gt;" in text
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text


def test_every_measurement_has_its_verdict_uncertainty_and_source(
    record: RunRecord, tmp_path: Path
):
    """With its unit in print, and the certificate that has expired."""
    text = write_sheet(tmp_path, record).read_text("utf-8")
    for words in ("gain.accuracy.ch2", "conditional", "0.11", "MΩ", "nV/√Hz",
                  "after IEC 60601-2-25", "sine fit", "200 Hz", "CAL-1", "expired", "S-7"):
        assert words in text
    amiss = re.search(r"Not passed outright:.*", text)
    assert amiss is not None
    assert "gain.accuracy.ch2" in amiss[0]
    assert "zin" not in amiss[0]


def test_the_same_record_gives_the_same_page(record: RunRecord, tmp_path: Path):
    """To the byte, with its pictures."""
    (tmp_path / "curves").mkdir()
    x = np.geomspace(1.0, 1e4, 50)
    np.savez(tmp_path / "curves/gain.npz", frequency_hz=x, gain_db=-x / 1e3)
    record.readings["gain.accuracy"]["curves"] = "curves/gain.npz"
    pages = {write_sheet(tmp_path, record).read_bytes() for _ in range(2)}
    assert len(pages) == 1
    assert b"data:image/svg+xml" in pages.pop()


def test_a_failed_test_leads_to_its_curve_with_its_limit(record: RunRecord, tmp_path: Path):
    """Readings of one curve share a picture; the limit changes what is drawn."""
    (tmp_path / "curves").mkdir()
    x = np.geomspace(1.0, 2e4, 60)
    np.savez(tmp_path / "curves/gain.npz", frequency_hz=x, gain_db=-x / 1e3, declared_db=-x / 2e3)
    poor = (found("freq.high_corner", 3000.0, 1.0, "Hz", low=9000.0, high=11_000.0),
            found("freq.ripple", 9.0, 0.1, "dB", high=1.0))
    record.readings.update({m.id: how("Band", curves="curves/gain.npz") for m in poor})
    record = replace(record, measurements=(*record.measurements, *poor))
    text = write_sheet(tmp_path, record).read_text("utf-8")
    assert text.count('href="#plot-1"') == 2
    assert text.count('id="plot-1"') == text.count("<figure") == 1


@pytest.mark.parametrize(("id", "unit", "bounds"), [
    ("freq.low_corner", "Hz", {"low": 9.0, "high": 11.0}), ("freq.ripple", "dB", {"high": 1.0}),
    ("noise.density", "nV/sqrt(Hz)", {"high": 20.0}), ("linearity.inl", "%", {"high": 0.5}),
    ("distortion.thd.20dbfs", "%", {"high": 0.1}),
])  # fmt: skip
def test_a_limit_that_can_be_drawn_into_a_curve_is(id: str, unit: str, bounds: dict):
    """The picture with it is another one than without; a limit of something else changes none."""
    curves = {"frequency_hz": np.geomspace(1, 1e4, 50), "gain_db": np.ones(50)}
    plain = curves_picture(curves)
    limit = Limit(measurement=id, unit=unit, **bounds)
    assert curves_picture(curves, limits=[limit]) != plain
    assert curves_picture(curves, limits=[replace(limit, measurement="step.tau")]) == plain


def test_a_run_that_broke_off_says_so(tmp_path: Path):
    """Without device, tests or pictures, and with what ended it."""
    broken = RunRecord(status="aborted", errors=({"what": "the device hung up"},))
    text = write_sheet(tmp_path, broken).read_text("utf-8")
    assert "the device hung up" in text
    assert "No test was made" in text


def test_curves_outside_the_folder_are_not_read(record: RunRecord, tmp_path: Path):
    """A record is a file that anybody may have written."""
    np.savez(tmp_path / "secret.npz", x_s=np.arange(9.0), y_uv=np.arange(9.0))
    record.readings["gain.accuracy"]["curves"] = "../secret.npz"
    folder = tmp_path / "run"
    folder.mkdir()
    assert "data:image" not in write_sheet(folder, record).read_text("utf-8")


@pytest.mark.parametrize("curves", [
    {"frequency_hz": np.geomspace(1, 1e4, 50), "gain_db": np.zeros(50), "phase_deg": np.ones(50)},
    {"time_ms": np.arange(5000.0), "response_pct": np.arange(5000.0)},
    {"driven_channel": np.array([1.0, 2.0]), "listening_channel": np.array([2.0, 1.0]),
     "level_db": np.array([-80.0, -70.0])},
])
def test_curves_of_every_form_are_drawn(curves: dict[str, np.ndarray]):
    """Over frequency, over time, and as a table of channels."""
    picture = curves_picture(curves)
    assert picture is not None
    assert picture.startswith("data:image/svg+xml")


@pytest.mark.parametrize("curves", [
    {}, {"time_s": np.zeros(0), "n": np.zeros(0)}, {"time_s": np.arange(4.0), "n": np.arange(3.0)},
])
def test_what_is_no_curve_is_not_drawn(curves: dict[str, np.ndarray]):
    """Nothing at all, nothing in it, and lengths that differ."""
    assert curves_picture(curves) is None


def test_uncertainty_and_ratio_are_written_with_two_digits():
    """In the decimals of the value; a ratio beyond a thousand says no more."""
    assert spread_text(found("a", 12.3456, 0.0123, "V")) == "0.012"
    assert spread_text(found("a", 12.0, 0.0, "V")) == "–"
    assert (ratio_text(12.34), ratio_text(156_491.0), ratio_text(None)) == ("12", "> 1000", "–")


def test_the_terminal_tells_what_was_skipped_before_the_verdict(record: RunRecord):
    """The verdict stays the last line."""
    lines = sheet_table(record).splitlines()
    assert lines[-1].startswith("verdict: fail")
    assert "skipped: crosstalk: state unavailable: <none>" in lines
