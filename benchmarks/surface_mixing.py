"""What 60 s of 64 channels cost: 100 units at 30 % of MVC, their MUAPs ready, noise of the skin.

    python benchmarks/surface_mixing.py

MUAPs are band-limited noise under a bell, as long as those of a biceps; the trains are those of the
pool. Prints CPU seconds of drawing the trains, of mixing and of the noise, and the peak of memory.
MyoGen, measured elsewhere, takes 146 CPU s to mix as much.
"""

from __future__ import annotations

import resource
import time

import numpy as np
from scipy import signal

from emgsim.artefacts.composition import stages
from emgsim.artefacts.parameters import SkinElectrode
from emgsim.physiology.discharges import discharge_epochs
from emgsim.physiology.mixing import Mixer, Muap
from emgsim.physiology.parameters import Hold, Pool
from emgsim.seeds import stream

RATE_HZ, DURATION_S, N_CHANNELS, N_UNITS = 2048.0, 60.0, 64, 100
MUAP_S = 0.05
BAND_HZ, STOP_HZ = 500.0, 555.0  # what is kept whole, and where nothing is left
LEVEL_MVC = 0.30
POOL = 125  # units; the level recruits 100 of them and more
BLOCK = 2048


def main() -> None:
    """Print the costs."""
    muaps = ready_muaps()
    began_s = time.process_time()
    pool = Pool(n_units=POOL)
    phases = (Hold(duration_s=DURATION_S, level_mvc=LEVEL_MVC),)
    epochs = list(discharge_epochs(pool, phases, 1))
    drawn_s = time.process_time()
    mixer = Mixer(N_CHANNELS, (0, muaps.shape[1]), stop=STOP_HZ / RATE_HZ)
    active = 0
    for unit, muap_uv in enumerate(muaps):
        instants = RATE_HZ * np.concatenate([epoch.trains[unit] for epoch in epochs])
        active += bool(instants.size)
        mixer.add_voice((unit,), Muap(muap_uv, 0))
        mixer.discharge((unit,), instants, np.ones(instants.size))
    n_samples = round(DURATION_S * RATE_HZ)
    recorded_uv = np.zeros((n_samples, N_CHANNELS))
    for first in range(0, n_samples, BLOCK):
        mixer.sound(recorded_uv[first : first + BLOCK], first)
    mixed_s = time.process_time()
    noise = stages([SkinElectrode(rms_uv=3.0)], RATE_HZ, 1, n_channels=N_CHANNELS)
    for first in range(0, n_samples, BLOCK):
        block = slice(first, first + BLOCK)
        recorded_uv[block], _ = noise.step(recorded_uv[block], first)
    noisy_s = time.process_time()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{active} units, {DURATION_S:g} s, {N_CHANNELS} channels at {RATE_HZ:g} Hz")
    print(f"trains {drawn_s - began_s:.2f} CPU s")
    print(f"mixing {mixed_s - drawn_s:.2f} CPU s")
    print(f"noise  {noisy_s - mixed_s:.2f} CPU s")
    print(f"mixing and noise {noisy_s - drawn_s:.2f} CPU s; peak {peak_mib:.0f} MiB")


def ready_muaps() -> np.ndarray:
    """Return MUAPs ``(n_units, n, n_channels)`` of some tens of microvolts."""
    n = round(MUAP_S * RATE_HZ)
    rng = stream(1, "muaps")
    white = rng.standard_normal((N_UNITS, n, N_CHANNELS))
    sos = signal.butter(4, BAND_HZ, fs=RATE_HZ, output="sos")
    return 30.0 * signal.sosfiltfilt(sos, white, axis=1) * np.hanning(n)[:, None]


if __name__ == "__main__":
    main()
