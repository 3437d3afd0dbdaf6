"""How well many channels come back that are played in passes, and what that costs.

``python benchmarks/many_channels.py [--rig RIG] [--channels N] [--rate-hz R]``. The stand-in is
noise between a twentieth and four tenths of its rate (2 kHz at most) that travels along the
channels, 37 us from one to the next, and becomes half as large on its way. A rig of several
generators plays as many channels at once. Prints the passes that it takes, how far the delays
between channels are off (by a fit to each channel without its markers, whose own noise is in it),
gain and noise of the worst channel, and CPU seconds per channel.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from emgsim import chain
from emgsim.align import Waveform
from emgsim.bench.rig import Rig, load_rig
from emgsim.files.npz import read_npz, write_npz
from emgsim.recording import Channel, Recording
from emgsim.running.excerpt import excerpt_of
from emgsim.running.playing_back import play_back
from emgsim.seeds import stream

DELAY_S = 37e-6
PEAK_UV = 2000.0
EDGE_S = 0.05  # left out at either end, where the device still hears the markers


def conducted(n_channels: int, rate_hz: float, duration_s: float) -> Recording:
    """Return the stand-in."""
    n = round(duration_s * rate_hz)
    f = np.fft.rfftfreq(n, 1 / rate_hz)
    spectrum = np.fft.rfft(stream(1, "stand-in", 0).standard_normal(n))
    spectrum[(f < 0.05 * rate_hz) | (f > min(2000.0, 0.4 * rate_hz))] = 0
    later = -2j * np.pi * f * DELAY_S
    uv = np.stack([np.fft.irfft(spectrum * np.exp(k * later), n) for k in range(n_channels)], 1)
    uv *= PEAK_UV / np.max(np.abs(uv)) * (1 - 0.5 * np.arange(n_channels) / n_channels)
    names = tuple(Channel(name=f"e{k}") for k in range(n_channels))
    return Recording(samples_uv=uv, rate_hz=rate_hz, channels=names)


def lags_us(folder: Path, rig: Rig) -> list[float]:
    """Return the lag of each channel behind the device against what was played in it."""
    original, _ = read_npz(folder / "wave/recording.npz")
    found, _ = read_npz(folder / "wave/device.npz")
    edge = round(EDGE_S * found.rate_hz)
    lags = []
    for k in range(len(original.channels)):
        uv = original.samples_uv[:, k]
        expected = Waveform(uv, original.rate_hz, chain.declared_response(rig.profile))
        value, slope = expected.at(found.times_s[edge:-edge])
        columns = np.stack([value, -slope], axis=1)
        fit, *_ = np.linalg.lstsq(columns, found.samples_uv[edge:-edge, k], rcond=None)
        lags.append(float(1e6 * fit[1] / fit[0]))
    return lags


def cpu_s() -> float:
    """Return the CPU time of this process and of those that it has waited for: the rig's server."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def main() -> int:
    """Play the stand-in, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rig", default="virtual-quattrocento")
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--rate-hz", type=float, default=2048.0)
    parser.add_argument("--duration-s", type=float, default=1.0)
    given = parser.parse_args()
    rig = load_rig(given.rig)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "grid.npz"
        write_npz(file, conducted(given.channels, given.rate_hz, given.duration_s))
        began_s = cpu_s()
        folder, record = play_back(excerpt_of(file), rig, out=Path(place) / "runs")
        spent_s = cpu_s() - began_s
        lags = np.array(lags_us(folder, rig))
    sd_us = [line["offset_sd_us"] for path, line in record.alignments.items() if "_" in path]
    found = {m.id: m.value for m in record.measurements}
    print(f"{given.channels} channels of {given.duration_s:g} s at {given.rate_hz:g} Hz, {rig.id}")
    n_passes = -(-given.channels // rig.n_sources)
    print(f"passes, of {rig.n_sources} channels at most                    {n_passes:4}")
    print(f"delay between two channels, largest error    {np.ptp(lags):9.4f} us")
    print(f"  standard deviation of all                  {lags.std():9.4f} us")
    print(f"  that the alignments tell, largest          {max(sd_us):9.4f} us")
    gain, noise = found["amplitude.error_pct.device"], found["noise.over_budget_pct.device"]
    print(f"gain, worst channel                          {gain:9.3f} %")
    print(f"noise beside its budget, worst channel       {noise:9.2f} %")
    print(f"CPU for a channel, the rig's included        {spent_s / given.channels:9.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
