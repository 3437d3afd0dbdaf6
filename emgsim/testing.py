"""Strategies of Hypothesis that draw emgsim's data: for tests of analyses, stages and devices.

::

    from hypothesis import given
    from emgsim.testing import recordings

    @given(recordings())
    def test_my_filter_keeps_the_length(recording): ...

Every strategy draws small things, so that a test runs through hundreds of them. It is the only
module of the package that imports Hypothesis: ``pip install "emgsim[test]"``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

try:
    from hypothesis import strategies as st
except ImportError as error:  # pragma: no cover - the extra is there wherever tests run
    raise ImportError('emgsim.testing needs Hypothesis: pip install "emgsim[test]"') from error

from emgsim.physiology.parameters import Pool
from emgsim.recording import Channel, Findings, FoundUnit, Gap, MotorUnit, Recording, Truth
from emgsim.scenario import SCHEMA, Scenario

Floats = NDArray[np.float64]

RATES_HZ = (4_000.0, 10_000.0, 23_437.5, 48_000.0)  # of real EMG machines; one is no integer

__all__ = [
    "RATES_HZ",
    "findings",
    "gaps",
    "pools",
    "recordings",
    "scenarios",
    "spike_trains",
    "truths",
]


@st.composite
def spike_trains(
    draw: st.DrawFn,
    *,
    duration_s: float = 10.0,
    max_discharges: int = 100,
    min_interval_s: float = 0.02,
) -> Floats:
    """Draw discharge times, shape ``(n_discharges,)``, ascending, in ``0 <= t < duration_s``.

    Parameters
    ----------
    draw
        Given by Hypothesis.
    duration_s
        Length of the train.
    max_discharges
        The longest train.
    min_interval_s
        No two discharges are closer than this.
    """
    interval = st.floats(min_interval_s, max(10 * min_interval_s, 1.0))
    intervals = draw(st.lists(interval, max_size=max_discharges))
    times_s = np.cumsum(intervals) - draw(st.floats(0.0, min_interval_s))
    return np.asarray(times_s[times_s < duration_s], dtype=np.float64)


@st.composite
def gaps(draw: st.DrawFn, n_samples: int, *, max_gaps: int = 3) -> tuple[Gap, ...]:
    """Draw runs of lost samples: ascending, apart from each other, inside ``n_samples``."""
    if n_samples < 2:
        return ()
    edge = st.integers(0, n_samples)
    n_edges = 2 * draw(st.integers(0, min(max_gaps, n_samples // 2)))
    edges = sorted(draw(st.lists(edge, min_size=n_edges, max_size=n_edges, unique=True)))
    return tuple(
        Gap(first_sample=first, n_samples=end - first)
        for first, end in zip(edges[::2], edges[1::2], strict=True)
    )


@st.composite
def recordings(
    draw: st.DrawFn,
    *,
    max_samples: int = 400,
    max_channels: int = 3,
    start_s: st.SearchStrategy[float] | None = None,
) -> Recording:
    """Draw a recording of noise, up to some millivolts, with NaN where samples were lost.

    Parameters
    ----------
    draw
        Given by Hypothesis.
    max_samples, max_channels
        Largest shape; there may be no sample at all, and there is at least one channel.
    start_s
        Where the recording may begin; up to an hour into a session if not given.
    """
    n = draw(st.integers(0, max_samples))
    n_channels = draw(st.integers(1, max_channels))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    samples_uv = draw(st.sampled_from((1.0, 50.0, 2_000.0))) * rng.standard_normal((n, n_channels))
    lost = draw(gaps(n))
    for gap in lost:
        samples_uv[gap.first_sample : gap.first_sample + gap.n_samples] = np.nan
    return Recording(
        samples_uv=samples_uv,
        rate_hz=draw(st.sampled_from(RATES_HZ)),
        channels=tuple(Channel(name=f"needle {k + 1}") for k in range(n_channels)),
        start_s=draw(st.floats(0.0, 3600.0) if start_s is None else start_s),
        gaps=lost,
    )


@st.composite
def truths(
    draw: st.DrawFn,
    *,
    max_units: int = 4,
    trains: st.SearchStrategy[Floats] | None = None,
) -> Truth:
    """Draw the truth of some motor units, each with a MUAP of its own on one channel.

    Parameters
    ----------
    draw
        Given by Hypothesis.
    max_units
        There may be none.
    trains
        Where the discharge times come from, shape ``(n_discharges,)``; `spike_trains` if not given.
    """
    rate_hz = draw(st.sampled_from(RATES_HZ))
    drawn = draw(st.lists(spike_trains() if trains is None else trains, max_size=max_units))
    units = tuple(
        MotorUnit(
            id=number,
            muscle="small_muscle",
            threshold=draw(st.floats(0.0, 1.0)),
            n_fibres=draw(st.integers(1, 40)),
            discharge_times_s=times_s,
            muap_uv=draw(_muaps()),
            muap_start_s=0.0,
            arrival_s=draw(st.sampled_from((0.0, 0.005))),
        )
        for number, times_s in enumerate(drawn, start=1)
    )
    return Truth(units=units, muap_rate_hz=rate_hz)


@st.composite
def findings(
    draw: st.DrawFn,
    *,
    max_units: int = 4,
    trains: st.SearchStrategy[Floats] | None = None,
) -> Findings:
    """Draw what an analysis might have found: units of any discharges, related to no truth.

    Parameters
    ----------
    draw
        Given by Hypothesis.
    max_units
        There may be none.
    trains
        Where the discharge times come from, shape ``(n_discharges,)``; `spike_trains` if not given.
    """
    drawn = draw(st.lists(spike_trains() if trains is None else trains, max_size=max_units))
    units = tuple(
        FoundUnit(id=number, discharge_times_s=times_s, muap_uv=draw(_muaps()), muap_start_s=0.0)
        for number, times_s in enumerate(drawn, start=1)
    )
    return Findings(units=units)


def _muaps() -> st.SearchStrategy[Floats]:
    """Draw a MUAP of a few samples on one channel, shape ``(n, 1)``, up to some millivolts."""
    samples = st.lists(st.integers(-3_000, 3_000), min_size=1, max_size=8)
    return samples.map(lambda values_uv: np.array(values_uv, np.float64)[:, None])


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    """Draw a small pool of motor neurons, every parameter within what muscles show."""
    return Pool(
        n_units=draw(st.integers(2, 40)),
        recruitment_range=draw(st.floats(5.0, 130.0)),
        twitch_range=draw(st.floats(5.0, 150.0)),
        minimal_rate_hz=draw(st.floats(5.0, 10.0)),
        peak_rate_first_hz=draw(st.floats(30.0, 45.0)),
        peak_rate_drop_hz=draw(st.floats(-10.0, 15.0)),
        rate_gain=draw(st.floats(0.5, 2.0)),
        isi_cov=draw(st.floats(0.0, 0.3)),
    )


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Draw a small healthy muscle in a short contraction; it simulates within some 20 ms."""
    hold_s = draw(st.floats(0.5, 1.5))
    ramp_s = draw(st.just(0.0) | st.floats(0.01, 0.3))
    hold = {"kind": "hold", "duration_s": hold_s, "ramp_s": ramp_s}
    rest = {"kind": "rest", "duration_s": draw(st.floats(0.1, 0.5))}
    hold["level_mvc"] = draw(st.floats(0.1, 1.0))
    tip = {
        "x_mm": draw(st.floats(-3.0, 3.0)),
        "y_mm": draw(st.floats(-3.0, 3.0)),
        "z_mm": draw(st.floats(-15.0, 15.0)),
    }
    return Scenario.model_validate(
        {
            "schema": SCHEMA,
            "id": "small_muscle",
            "title": "A small muscle in a short contraction",
            "seed": draw(st.integers(0, 2**31)),
            "muscle": {
                "name": "small_muscle",
                "radius_mm": draw(st.floats(5.0, 8.0)),
                "pool": {"n_units": draw(st.integers(8, 16))},
                "fibres": {
                    "per_unit_smallest": draw(st.integers(3, 10)),
                    "per_unit_largest": draw(st.integers(10, 40)),
                    "length_mm": draw(st.floats(40.0, 80.0)),
                },
            },
            "electrode": {"tip": tip},
            "phases": draw(st.permutations([rest, hold])),
            "acquisition": {"rate_hz": draw(st.sampled_from(RATES_HZ))},
        }
    )
