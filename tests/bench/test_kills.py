"""Whatever kills the process that energises, the output goes off; and what happens unguarded.

The kills themselves are those of ``benchmarks/kills.py``: a worker process drives the generator of
a rig that another process serves. That process outlives every death, as real hardware does.
"""

import importlib.util
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from emgsim.bench.rig import load_rig
from emgsim.instruments.serial_frames import SerialFrames

if sys.platform != "linux":
    pytest.skip("pidfd and flock as Linux has them", allow_module_level=True)

PATH = Path(__file__).parents[2] / "benchmarks" / "kills.py"
SPEC = importlib.util.spec_from_file_location("kills", PATH)
assert SPEC is not None
assert SPEC.loader is not None
kills = sys.modules["kills"] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(kills)

PLANS = kills.draw(20, seed=7)


@pytest.fixture(scope="module")
def bench():
    """Serve one rig for all kills."""
    with kills.bench() as served:
        yield served


def started(bench, plan):
    """Start a worker that drives the served generator."""
    _, addresses, folder = bench
    return kills.Worker(plan, addresses["source"], folder)


def events(outcome):
    """Return what the guard did, in order."""
    return [entry["event"] for entry in outcome.guard]


@pytest.mark.parametrize("plan", PLANS, ids=lambda p: f"{p.number}-{p.way}-{p.stage}")
def test_a_worker_that_is_killed_leaves_the_output_off_and_then_the_locks_free(bench, plan):
    """Off within 2 s of death or lease end, not earlier; free within 1 s of that, not earlier."""
    generator, _, folder = bench
    worker = started(bench, plan)
    try:
        outcome = kills.kill(worker, generator, folder)
    finally:
        worker.close()
    assert outcome.mistakes == []
    assert outcome.heavy == []
    outcome.guard = worker.diary()
    if plan.way in kills.HANGS:
        assert events(outcome) == ["ready", "leased", "the lease ended", "killed", "off", "end"]
    if plan.way == "SIGKILL" and plan.stage == "playing":
        assert events(outcome)[0:2] == ["ready", "leased"]
        assert events(outcome)[-3:] == ["killed", "off", "end"]
    if "end" in events(outcome):
        assert outcome.guard[-1]["imported"] == []  # nothing is left to load after a death


def test_the_drawn_kills_cover_every_way_early_and_late():
    """The same seed gives the same kills; each way comes twice, deaths also before the output."""
    assert kills.draw(20, seed=7) == PLANS
    assert {plan.way for plan in PLANS} == set(kills.WAYS)
    assert {plan.stage for plan in PLANS} == {"loading", "playing"}


def test_without_a_guard_the_playback_ends_by_itself(bench):
    """The guard is killed first, then the worker: the relay stays closed, but the signal ends.

    Nobody switches off, so it is the finite number of cycles that ends it. The clock of the served
    rig is free: it moves because this test reads the device, which makes 10 ms after 10 ms as fast
    as they are read.
    """
    generator, addresses, folder = bench
    worker = started(bench, kills.Plan(1000, "SIGKILL", "playing", 0.0))
    profile = load_rig("virtual").profile
    try:
        worker.begin()
        with SerialFrames.open(addresses["device"], profile=profile, timeout_s=5.0) as device:
            device.start()
            worker.wait_for("playing")
            os.kill(worker.wait_for("guarded")["guard_pid"], signal.SIGKILL)
            time.sleep(0.05)
            worker.die()
            worker.process.wait(5)
            rms = [block_rms(device) for _ in range(9)]  # one second each; 6 are played
            device.stop()
        assert generator.ask(":OUTP1?") == "1"  # nobody was left to switch it off
        assert kills.is_free(kills.lock_path(folder))
        loud = max(rms)
        assert loud > 100  # 1 V behind 1/1001, in microvolts rms
        assert sum(each > loud / 2 for each in rms) in (6, 7)
        assert all(each < loud / 50 for each in rms[-2:]), rms
    finally:
        generator.tell(":OUTP1 OFF")
        worker.close()


def block_rms(device):
    """Return the rms of the next second of the device, in microvolts."""
    counts = device.read_block(round(device.rate_hz), 20.0).counts[:, 0]
    return float(np.std(counts)) * device.scale_uv_per_count
