"""What the rows of acceptance have in common: muscles, and a port that hears single fibres."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from scipy import signal

from emgsim.physiology.electrodes import channels
from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.kernels import fibre_waves_uv
from emgsim.physiology.parameters import Fibres, Medium, Muscle, Pool, SingleFibre, TipPosition
from emgsim.scenario import muscle_catalogue

FINE_HZ = 96_000.0  # of single-fibre EMG
SINGLE_FIBRE_HZ = (500.0, 10_000.0)  # its band, first order


def generic(n_fibres: int, density_per_mm2: float) -> Muscle:
    """Return a muscle of one unit with the fibres of the table's own runs: 55 um thick."""
    fibres = Fibres(
        per_unit_smallest=n_fibres,
        per_unit_largest=n_fibres,
        density_per_mm2=density_per_mm2,
        diameter_smallest_unit_um=55.0,
        length_mm=100.0,
    )
    return Muscle(name="generic", radius_mm=8.0, pool=Pool(n_units=1), fibres=fibres)


@pytest.fixture(scope="session")
def muscle() -> Callable[[str], Muscle]:
    """Return muscles by name: of the catalogue, "generic", and "doubled", with twice its fibres."""
    by_hand = {"generic": generic(200, 3.5), "doubled": generic(400, 7.0)}

    @cache
    def named(name: str) -> Muscle:
        return by_hand.get(name) or Muscle(name=name, **muscle_catalogue()[name])

    return named


@pytest.fixture(scope="session")
def port_waves_uv() -> Callable[..., np.ndarray]:
    """Return what a single-fibre port hears of each fibre, in the band of single-fibre EMG.

    Shape ``(n_fibres, n_samples)``, at 96 kHz.
    """

    def waves_uv(unit: UnitFibres, tip: TipPosition, medium: Medium) -> np.ndarray:
        electrode = channels(SingleFibre(), tip)[0]
        waves = fibre_waves_uv(int(15e-3 * FINE_HZ), FINE_HZ, electrode, medium, unit)
        b, a = signal.butter(1, SINGLE_FIBRE_HZ, "bandpass", fs=FINE_HZ)
        return np.asarray(signal.lfilter(b, a, waves, axis=1))

    return waves_uv
