"""A run's page in the system's Chromium: how it is made, opened, and watched."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from emgsim.align import Waveform
from emgsim.files.findings import write_findings
from emgsim.files.npz import write_npz
from emgsim.physiology.parameters import Hold, Rest
from emgsim.recording import Channel, Findings, FoundUnit, Recording, Truth
from emgsim.records.journal import Journal, read_journal
from emgsim.records.record import RunRecord, fold
from emgsim.report.page import write_page
from emgsim.scenario import load_scenario
from emgsim.scoring import compare
from emgsim.simulation import simulate
from emgsim.verdict import Limit, judge

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# root has no sandbox; without --autoplay-policy nothing sounds that no person has started
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--mute-audio",
             "--autoplay-policy=no-user-gesture-required"]  # fmt: skip
RATES_HZ = {"truth": 48_000.0, "loopback": 100_000.0, "device": 48_000.0}
RMS_UV = 70.0  # about that of the whole
NOISE_UV = {"truth": 0.0, "loopback": 0.4, "device": 1.6}

# Keeps what is played, and what the page asks to be scheduled.
WATCH = """
window.heard = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (...given) {
  window.heard.push({ rate: this.buffer.sampleRate, state: () => this.context.state,
                      samples: this.buffer.getChannelData(0) });
  return start.apply(this, given);
};
"""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of three seconds in which the device misses and invents much."""
    folder = tmp_path_factory.mktemp("run")
    phases = (Rest(duration_s=0.5), Hold(duration_s=2.5, level_mvc=0.05))
    scenario = load_scenario("healthy_biceps").model_copy(update={"phases": phases})
    recording, truth = simulate(scenario, for_playing=True)
    with Journal(folder) as journal:
        journal.append("run_started", run_id="browser", scenario=scenario.resolved(),
                       rig={"title": "made up"}, seed=scenario.seed, versions={"emgsim": "0"},
                       started="2026-01-01T12:00:00+00:00")  # fmt: skip
        for path in RATES_HZ:
            _keep(journal, path, recording, truth)
        journal.append("run_ended", status="completed", exit_code=1,
                       ended="2026-01-01T12:00:20+00:00")  # fmt: skip
    write_page(folder, _record(folder))
    return folder


def _record(folder: Path) -> RunRecord:
    """Return the record of a folder with a limit that the device's F1 does not hold."""
    record = fold(read_journal(folder))
    limit = Limit(measurement="discharges.f1.device", low=0.99, unit="1", source="an example")
    judged = (judge(m, limit) if m.id == limit.measurement else m for m in record.measurements)
    return replace(record, measurements=tuple(judged))


def _keep(journal: Journal, path: str, clean: Recording, truth: Truth) -> None:
    rng, rate_hz = np.random.default_rng(len(path)), RATES_HZ[path]
    n = round(clean.duration_s * rate_hz)
    samples_uv, _ = Waveform(clean.samples_uv[:, 0], clean.rate_hz).at(np.arange(n) / rate_hz)
    samples_uv = samples_uv + NOISE_UV[path] * rng.standard_normal(n)
    recording = Recording(samples_uv=samples_uv[:, None], rate_hz=rate_hz,
                          channels=(Channel(name=path),))  # fmt: skip
    file, found_file = f"wave/{path}.npz", f"findings-{path}.json"
    write_npz(journal.folder / file, recording, truth if path == "truth" else None)
    journal.append("capture", path=path, file=file, n_samples=n, gaps=[])
    largest = sorted(truth.units, key=lambda unit: -unit.peak_to_peak_uv)[:5]
    share = 0.7 if path == "device" else 1.0
    found = Findings(units=tuple(
        FoundUnit(id=k, muap_uv=unit.muap_uv, muap_start_s=-unit.arrival_s,
                  discharge_times_s=unit.spike_times_s[rng.random(unit.n_discharges) < share])
        for k, unit in enumerate(largest, start=1)
    ), muap_rate_hz=truth.muap_rate_hz)  # fmt: skip
    write_findings(journal.folder / found_file, found)
    journal.append("findings", path=path, file=found_file, n_units=len(largest))
    score = compare(found, replace(truth, units=tuple(largest)))
    journal.append("score", path=path, rows=[
        unit.row() | {"ratio": unit.amplitude_uv / RMS_UV} for unit in score.units
    ])  # fmt: skip
    for measurement in score.measurements(path):
        journal.measurement(measurement)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return the system's Chromium, without a window; nothing is downloaded."""
    if CHROMIUM is None:
        pytest.skip("no chromium on the path: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, made: Path) -> Iterator[Page]:
    """Return the run's page, opened, with its viewer live; ``asked`` has every request."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(20_000)
    opened = context.new_page()
    opened.asked, opened.said = [], []  # type: ignore[attr-defined]
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.on("console", lambda message: opened.said.append(message.text))
    opened.on("pageerror", lambda error: opened.said.append(str(error)))
    opened.add_init_script(WATCH)
    opened.goto((made / "report.html").as_uri())
    opened.wait_for_selector("#viewer.live")
    yield opened
    context.close()
