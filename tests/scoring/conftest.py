"""Truth and findings of given trains; a discharge stands at the electrode 1 ms after it began."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from emgsim.recording import Findings, FoundUnit, MotorUnit, Truth

RATE_HZ = 10_000.0
WAVE = np.array([0.0, 0.25, 0.5, 0.0, -0.5, -0.25, 0.0])  # 1 from peak to peak


@pytest.fixture(scope="session")
def truth_of() -> Callable[..., Truth]:
    """Return the truth of some trains, numbered from 1, each MUAP as large as asked."""

    def make(*trains: np.ndarray, sizes_uv: tuple[float, ...] | None = None) -> Truth:
        sizes = sizes_uv or (100.0,) * len(trains)
        units = tuple(
            MotorUnit(
                id=k,
                muscle="m",
                threshold=0.0,
                n_fibres=1,
                discharge_times_s=np.asarray(train),
                muap_uv=size * WAVE[:, None],
                muap_start_s=0.0008,
                arrival_s=0.001,
            )
            for k, (train, size) in enumerate(zip(trains, sizes, strict=True), start=1)
        )
        return Truth(units=units, muap_rate_hz=RATE_HZ)

    return make


@pytest.fixture(scope="session")
def findings_of() -> Callable[..., Findings]:
    """Return findings of some trains, numbered from 1, as they stand at the electrode."""

    def make(*trains: np.ndarray) -> Findings:
        flat = np.zeros((1, 1))
        units = tuple(
            FoundUnit(id=k, discharge_times_s=np.asarray(t), muap_uv=flat, muap_start_s=0.0)
            for k, t in enumerate(trains, start=1)
        )
        return Findings(units=units)

    return make


@pytest.fixture(scope="session")
def regular() -> Callable[..., np.ndarray]:
    """Return a train with a coefficient of variation of 0.15."""

    def make(rate_hz: float, seed: int, seconds: float = 5.0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        steps = (1 + 0.15 * rng.standard_normal(int(seconds * rate_hz))) / rate_hz
        return 0.05 + np.cumsum(steps)

    return make
