"""The compiled steps of the motor neurons against a readable reference."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special

from emgsim.physiology import neurons
from emgsim.physiology.discharges import (
    FEEDBACK_DELAY_S,
    FEEDBACK_TIME_S,
    Epoch,
    discharge_epochs,
    low_pass,
    resonator,
)
from emgsim.physiology.effort import effort_at
from emgsim.physiology.intervals import DEEPEST, depth_grid, deviate_table, latent_grid
from emgsim.physiology.parameters import (
    CommonDrive,
    Doublets,
    Fatigue,
    Hold,
    Intervals,
    Pain,
    Phase,
    Pool,
    Ramp,
    Rest,
    Sinusoid,
    Synchrony,
)
from emgsim.physiology.parameters.effort import total_s
from emgsim.physiology.pool import (
    DE_LUCA_HOSTAGE,
    ISI_FLOOR_S,
    force_curve,
    maximal_force,
    minimal_rates_hz,
    peak_rates_hz,
    thresholds,
    thresholds_in_pain,
    twitch_gain,
    twitches,
)
from emgsim.seeds import stream

Floats = NDArray[np.float64]


def joined(epochs: list[Epoch]) -> list[Floats]:
    """Return each unit's whole train."""
    return [np.concatenate(parts) for parts in zip(*(e.trains for e in epochs), strict=True)]


class Drive(NamedTuple):
    """What drives all units in one step."""

    excitation: float
    common_hz: float
    fast_hz: float
    rested: float


class ReferenceUnit:
    """One motor neuron, step by step in plain Python, and its twitches by their formula."""

    def __init__(self, pool: Pool, order: int, begin: Floats) -> None:
        self.pool, self.order = pool, order
        self.phase, self.target = 0.0, begin[0]
        self.latent = float(special.ndtri(begin[1]))
        self.times_s: list[float] = []
        self.gains: list[float] = []
        self.second_s = math.inf

    def force(self, now_s: float) -> float:
        """Return the sum of all twitches, in units of the first one."""
        peak, contraction_s = (column[self.order] for column in twitches(self.pool))
        t = (now_s - np.array(self.times_s)) / contraction_s
        return float(np.sum(np.array(self.gains) * peak * t * np.exp(1 - t)))

    def discharge(self, time_s: float) -> None:
        """Note a discharge and its gain."""
        contraction_s = twitches(self.pool)[1][self.order]
        isi_s = time_s - self.times_s[-1] if self.times_s else math.inf
        self.times_s.append(time_s)
        self.gains.append(float(twitch_gain(np.array([contraction_s / isi_s]))[0]))

    def step(self, begin_s: float, drive: Drive, chance: Iterator) -> None:
        """Advance by 1 ms; ``chance`` gives an interval's normal and a doublet's uniforms."""
        end_s, (excitation, common_hz, fast_hz, rested) = begin_s + 1e-3, drive
        if self.second_s < end_s:
            self.discharge(self.second_s)
            self.second_s = math.inf
        recruited_at = thresholds_in_pain(self.pool)[self.order]
        if excitation < recruited_at:
            return
        rate, is_rising = self.rate(excitation, common_hz)
        rate *= rested
        speed = rate + np.clip(fast_hz, -rate, rate)
        if self.phase + speed * 1e-3 < self.target:
            self.phase += speed * 1e-3
            return
        time_s = begin_s + max(0.0, (self.target - self.phase) / speed if speed else 0.0)
        time_s = max(time_s, self.times_s[-1] + 0.020 if self.times_s else time_s)
        if time_s >= end_s:
            self.phase = self.target
            return
        normal, (twice, when) = next(chance)
        doublets = self.pool.doublets
        paused = not self.times_s or time_s - self.times_s[-1] > 0.5
        if twice < (doublets.share_at_recruitment if paused else doublets.share):
            self.second_s = time_s + doublets.shortest_s
            self.second_s += when * (doublets.longest_s - doublets.shortest_s)
        self.discharge(time_s)
        self.phase = speed * (end_s - time_s)
        common_cov = (
            self.pool.common_drive.strength * self.pool.minimal_rate_hz / rate if is_rising else 0.0
        )
        self.target = self.draw(rate, excitation - recruited_at, common_cov, normal)

    def draw(self, rate: float, above: float, common_cov: float, normal: float) -> float:
        """Return the next interval in units of its mean."""
        pool, law = self.pool, self.pool.intervals
        rho = law.serial_correlation
        self.latent = rho * self.latent + math.sqrt(1 - rho**2) * normal
        cov = pool.isi_cov
        if law.cov_at_recruitment is not None:
            share = above / pool.maximal_excitation
            cov += (law.cov_at_recruitment - cov) * math.exp(-share / law.cov_falls_over)
        fast = resonator(pool.synchrony.frequency_hz, pool.synchrony.pairs_per_s)[2]
        cov = max(math.sqrt(max(0.0, cov**2 - common_cov**2 - fast)), cov / 2)
        free = 1 - 0.020 * rate
        if free <= 0.0:
            return 1.0  # 50 pps is the floor itself: nothing left to vary
        cov = min(cov, DEEPEST * free)
        page = deviate_table(law.law)[1 if 1 / rate > 0.120 else 0]
        rows = [np.interp(self.latent, latent_grid(), row) for row in page]
        return 1 + cov * float(np.interp(cov / free, depth_grid(), rows))

    def rate(self, excitation: float, common_hz: float) -> tuple[float, bool]:
        """Return the rate in pps, and whether it still answers to the excitation."""
        pool = self.pool
        threshold = thresholds(pool)[self.order]
        lowest = minimal_rates_hz(pool)[self.order]
        peak = peak_rates_hz(pool)[self.order]
        if pool.rate_law in DE_LUCA_HOSTAGE:
            k, top = DE_LUCA_HOSTAGE[pool.rate_law], pool.maximal_excitation
            slope = k.c - k.a * math.exp(-excitation / top / k.b)
            rising = k.d * excitation / top + slope * threshold / top + k.e
        else:
            rising = lowest + pool.rate_gain * (excitation - threshold)
        rising = max(max(rising, lowest) + common_hz, lowest / 2)
        inhibited = (1 - pool.pain.rate_share) * min(rising, peak) - pool.pain.rate_drop_hz
        return min(inhibited, 50.0), rising < peak


def reference(
    pool: Pool, phases: tuple[Phase, ...], seed: int, epoch_s: float
) -> tuple[list[Floats], Floats, Floats]:
    """Return times, excitation and force of a pool, by plain formulas step after step."""
    n_all, per_epoch = round(total_s(phases) * 1000), round(epoch_s * 1000)
    n_most = math.ceil(epoch_s / 0.020) + 2
    begin = stream(seed, "first discharges").uniform(size=(pool.n_units, 2))
    units = [ReferenceUnit(pool, k, begin[k]) for k in range(pool.n_units)]
    (a1, a2), scale = low_pass(pool.common_drive.cutoff_hz)
    (b1, b2), fast_scale, _ = resonator(pool.synchrony.frequency_hz, pool.synchrony.pairs_per_s)
    noise = stream(seed, "common drive").standard_normal(2)
    rho = a1 / (1 - a2)
    slow = [(rho * noise[0] + math.sqrt(1 - rho**2) * noise[1]) / scale, noise[0] / scale]
    fast = [0.0, 0.0]
    forces, excitations, correction, fatigue = [], [], 0.0, 0.0
    effort = effort_at(phases, np.arange(n_all) * 1e-3)
    delay = round(FEEDBACK_DELAY_S * 1000)
    for k in range(n_all):
        if k % per_epoch == 0:
            item = k // per_epoch + 1
            white = stream(seed, "common drive", item).standard_normal(per_epoch)
            rapid = stream(seed, "synchrony", item).standard_normal(per_epoch)
            normal = stream(seed, "discharges", item).standard_normal((pool.n_units, n_most))
            twice = stream(seed, "doublets", item).uniform(size=(pool.n_units, n_most, 2))
            chances = [iter(zip(normal[u], twice[u], strict=True)) for u in range(pool.n_units)]
        forces.append(sum(unit.force(k * 1e-3) for unit in units) / maximal_force(pool))
        seen = effort[k - delay] - forces[k - delay] if k >= delay else 0.0
        if effort[k] == 0:
            correction, drive = 0.0, 0.0
        else:
            if pool.tracking == "force":
                correction += 1e-3 / FEEDBACK_TIME_S * seen
                correction = np.clip(correction, -effort[k], 1 - effort[k])
            wanted = effort[k] + correction
            drive = float(np.interp(wanted, *force_curve(pool))) if wanted > 0 else 0.0
        pace = 1 - math.exp(-1e-3 / pool.fatigue.time_constant_s)
        fatigue += pace * (drive / pool.maximal_excitation - fatigue)
        slow.append(a1 * slow[-1] + a2 * slow[-2] + white[k % per_epoch])
        fast.append(b1 * fast[-1] + b2 * fast[-2] + rapid[k % per_epoch])
        excitations.append(drive)
        common_hz = pool.common_drive.strength * pool.minimal_rate_hz * scale * slow[-1]
        fast_hz = fast_scale * (fast[-1] - fast[-3])
        rested = 1 - pool.fatigue.rate_fall * fatigue
        drives = Drive(excitations[-1], common_hz, fast_hz, rested)
        for unit, chance in zip(units, chances, strict=True):
            unit.step(k * 1e-3, drives, chance)
    return [np.array(unit.times_s) for unit in units], np.array(excitations), np.array(forces)


@st.composite
def any_pools(draw: st.DrawFn) -> Pool:
    """Draw a pool of a few units with every mechanism at work."""
    return Pool(
        n_units=draw(st.integers(1, 4)),
        recruitment=draw(st.sampled_from(("fuglevand", "de_luca_contessa", "caillet"))),
        recruitment_range=draw(st.floats(14.0, 60.0)),  # below, De Luca's law has no room
        rate_law=draw(st.sampled_from(("linear", "linear", *DE_LUCA_HOSTAGE))),
        minimal_rate_rise_hz=draw(st.floats(0.0, 10.0)),
        peak_rate_first_hz=draw(st.floats(30.0, 60.0)),
        isi_cov=draw(st.floats(0.0, 0.4)),
        intervals=Intervals(
            law=draw(st.sampled_from(("gaussian", "gamma"))),
            serial_correlation=draw(st.floats(-0.2, 0.2)),
            cov_at_recruitment=draw(st.none() | st.floats(0.1, 0.4)),
        ),
        common_drive=CommonDrive(strength=draw(st.floats(0.0, 0.5))),
        synchrony=Synchrony(pairs_per_s=draw(st.floats(0.0, 1.0))),
        doublets=Doublets(share=draw(st.floats(0.0, 0.3)), share_at_recruitment=0.5),
        fatigue=Fatigue(rate_fall=draw(st.floats(0.0, 0.8)), time_constant_s=1.0),
        pain=Pain(rate_share=draw(st.sampled_from((0.0, 0.2)))),
        tracking=draw(st.sampled_from(("force", "drive"))),
    )


LEFT_WITHOUT_SCATTER = Pool(
    n_units=1,
    recruitment_range=10.0,
    peak_rate_first_hz=60.0,
    isi_cov=0.0,
    common_drive=CommonDrive(strength=0.0),
    doublets=Doublets(share=0.0),
    fatigue=Fatigue(rate_fall=0.0, time_constant_s=1.0),
)  # discharges at 50 pps, where the floor leaves an interval nothing to vary


@given(
    pool=any_pools(),
    level=st.floats(0.05, 1.0),
    seed=st.integers(0, 2**31),
    epoch_s=st.sampled_from((0.1, 0.25, 1.0)),
)
@example(pool=LEFT_WITHOUT_SCATTER, level=1.0, seed=0, epoch_s=0.1)
@settings(max_examples=12, deadline=None)
def test_the_compiled_steps_are_the_readable_ones(
    pool: Pool, level: float, seed: int, epoch_s: float
) -> None:
    """Every discharge within 1 ns, force and excitation within 1e-9 of their scale.

    Both round differently, and the closed loop of one strong unit makes 5e-12 of it.
    """
    phases = (
        Hold(duration_s=0.5, level_mvc=level, ramp_s=0.1),
        Rest(duration_s=0.1),
        Sinusoid(duration_s=0.3, mean_mvc=0.5, amplitude_mvc=0.3, frequency_hz=4.0),
    )
    epochs = list(discharge_epochs(pool, phases, seed, epoch_s=epoch_s))
    times_s, excitation, force = reference(pool, phases, seed, epoch_s)
    for fast, slow in zip(joined(epochs), times_s, strict=True):
        np.testing.assert_allclose(fast, slow[slow < 0.9], rtol=0, atol=1e-9)
    scale = pool.maximal_excitation
    found = np.concatenate([epoch.excitation for epoch in epochs])
    np.testing.assert_allclose(found / scale, excitation / scale, rtol=0, atol=1e-9)
    found = np.concatenate([epoch.force for epoch in epochs])
    np.testing.assert_allclose(found, force, rtol=0, atol=1e-9)


def test_the_floor_is_the_same_everywhere() -> None:
    """The kernel keeps a constant of its own, since compiled code does not follow another's."""
    assert neurons.FLOOR_S == ISI_FLOOR_S


PHASES = (Rest(duration_s=0.3), Hold(duration_s=2.5, level_mvc=0.2), Ramp(duration_s=1, to_mvc=0.6))


@given(pool=any_pools(), seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_the_same_seed_gives_the_same_bytes(pool: Pool, seed: int) -> None:
    """Trains are a function of pool, phases and seed."""
    one, two = (joined(list(discharge_epochs(pool, PHASES, seed))) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert a.tobytes() == b.tobytes()


@given(pool=any_pools(), seed=st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_trains_ascend_and_keep_the_floor(pool: Pool, seed: int) -> None:
    """No interval under 20 ms but a doublet's; all within the time; force and drive finite."""
    epochs = list(discharge_epochs(pool, PHASES, seed, epoch_s=0.25))
    for epoch in epochs:
        assert epoch.effort.size == epoch.force.size == epoch.excitation.size == epoch.n_steps
        assert np.isfinite(epoch.force).all()
        assert epoch.force.min() >= 0.0
    for train in joined(epochs):
        intervals = np.diff(train)
        close = intervals < ISI_FLOOR_S - 1e-9
        assert np.all(intervals[close] >= pool.doublets.shortest_s - 1e-9)
        assert np.all(intervals[close] <= pool.doublets.longest_s + 1e-9)
        assert np.all((train >= 0.3) & (train < 3.8))
