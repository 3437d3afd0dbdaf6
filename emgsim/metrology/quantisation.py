"""Tests of the converter's codes: how large they are, which never occur, how unequal they are.

A sine is slow beside the rate and never coherent with it, so that all codes in its middle are
visited about alike, however little noise there is. A converter of 24 bits has more codes than
anybody can scan: what is looked at is a window of codes about zero, each of which should occur
some hundred times. It shows low bits that never change and every n-th code that never comes; one
single missing code elsewhere it does not see. Noise of many codes does no harm, as it comes before
the converter: it makes the histogram smooth, and a code that is wider than its neighbours stands
out of it all the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Component, Reading
from emgsim.metrology.setup import Setup
from emgsim.metrology.silence import gain_stimulus, referred, silence
from emgsim.metrology.sines import impossible
from emgsim.metrology.stimulus import Stimulus, laid_out, sine

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MISSING = "quantisation.missing_codes"
FINE_S = 3.0
HITS = 300  # of each code in the window, on average
OFF_MID = 1.0137  # times mid-band: neither a divisor of the rate nor a line of the mains
MIDDLE = (20.0, 80.0)  # percentiles of the samples: where a sine's histogram bends little
SMOOTHED = 16  # windows of the smooth histogram in the whole; it is locally a parabola
FEWEST = 33  # codes that a smooth histogram needs
LEAST_SURE = 0.125  # standard uncertainty of a code's width, over the width
TOLD = 4.0  # standard uncertainties from none: of chance
EXPECTED = 15.0  # hits: a code that should have so many and has none is missing


@dataclass(frozen=True, kw_only=True, eq=False)
class Histogram:
    """How often the codes of a window occurred.

    Attributes
    ----------
    spacing
        Codes from one that can occur to the next; above 1 where low bits never change.
    first
        The lowest code of the window.
    halves
        Counts of every ``spacing``-th code in the first and in the second half of the time, shape
        ``(2, n)``.
    expected
        Of both halves together if all codes were alike, shape ``(n,)``.
    """

    spacing: int
    first: int
    halves: Ints
    expected: Floats

    @property
    def counts(self) -> Ints:
        """Counts of the whole record."""
        return np.asarray(self.halves.sum(axis=0))

    @property
    def is_told(self) -> NDArray[np.bool_]:
        """Which of the codes should have come so often that one that never did is missing."""
        return np.asarray(self.expected >= EXPECTED)

    @property
    def is_missing(self) -> NDArray[np.bool_]:
        """Which of the codes never came, though they should have."""
        return np.asarray((self.counts == 0) & self.is_told)


def quantisation_lsb(measuring: Measuring) -> Sequence[Reading]:
    """Measure the spacing of the codes that occur, referred to the input.

    True is the size of a code times the number of codes from one that occurs to the next, over the
    gain at mid-band.
    """
    found, by = _histogram(measuring), referred(measuring)
    value = found.spacing * _code_uv(measuring.setup) / abs(by.gain)
    return [
        Reading(
            id="quantisation.lsb",
            value=value,
            unit="uV",
            components=by.components(value),
            method="largest common divisor of the codes' differences, over the gain",
            conditions=_conditions(found),
            rests_on=by.rests_on,
        )
    ]


def quantisation_missing_codes(measuring: Measuring) -> Sequence[Reading]:
    """Measure the share of codes that never occur, of those that are met often enough to be missed.

    True is the share of missing codes among all: ``1 / n`` where every n-th one is missing,
    ``1 - 2**-k`` where the k lowest bits never change.
    """
    found = _histogram(measuring)
    n_told = int(found.is_told.sum())
    if n_told < FEWEST:
        note = f"{_conditions(found)}: too seldom to miss one"
        return [impossible(MISSING, "1", note)]
    n_codes = found.spacing * n_told
    value = 1 - (n_told - int(found.is_missing.sum())) / n_codes
    # The window cuts a pattern anywhere: the share is right to one code.
    granularity = 1 / (math.sqrt(12) * n_codes) if found.is_missing.any() else 0.0
    return [
        Reading(
            id=MISSING,
            value=value,
            unit="1",
            components=(Component(name="codes at the window's ends", standard=granularity),),
            method="codes that never occur and should have done so 15 times or more, over all "
            "that should",
            conditions=_conditions(found),
            note=_share_note(measuring.setup, n_codes),
        )
    ]


def quantisation_dnl(measuring: Measuring) -> Sequence[Reading]:
    """Measure the worst differential nonlinearity: how much wider or narrower a code is.

    True is the largest ``|width / LSB - 1|`` of a code, the LSB being the declared size: 1 where
    single codes are missing, ``2**k - 1`` where k bits never change, 0 of a perfect converter. The
    code is chosen by the first half of the time and measured in the second, so that the worst of
    many is not the worst of the noise. Where the noise spreads the samples over so many codes that
    each is hardly met, and the worst one's width is neither known to a quarter nor told from that
    of the others, nothing is said.
    """
    found = _histogram(measuring)
    share = found.expected / 2
    first, second = (half / share - 1 for half in found.halves)
    worst = int(np.argmax(np.abs(first)))
    value = abs(found.spacing * (1 + second[worst]) - 1)
    relative = math.sqrt(max(1.0, float(found.halves[1, worst]))) / float(share[worst])
    if relative > LEAST_SURE and value < TOLD * found.spacing * relative:
        note = f"{_conditions(found)}: too seldom to tell how wide one of them is"
        return [impossible("quantisation.dnl", "LSB", note)]
    codes = found.first + found.spacing * np.arange(share.size)
    dnl = found.spacing * found.counts / found.expected - 1
    return [
        Reading(
            id="quantisation.dnl",
            value=float(value),
            unit="LSB",
            components=(Component(name="finite counts", standard=found.spacing * relative),),
            method="histogram against its local parabola; worst code of one half, from the other",
            conditions=_conditions(found),
            note=_share_note(measuring.setup, found.spacing * share.size),
            curves={"code": codes.astype(np.float64), "dnl_lsb": dnl},
        )
    ]


def stimulus_of(setup: Setup, spacing: int = 1) -> Stimulus:
    """Return a sine over as many codes as can be counted, of those that occur at all."""
    rate_hz, high_hz = setup.play_rate_hz, setup.device.band_hz[1]
    n_codes = FINE_S * setup.device.rate_hz / HITS
    largest_uv = min(setup.states["direct"].largest_uv, 0.8 * setup.device.range_uv)
    peak_uv = min(0.5 * n_codes * spacing * _code_uv(setup), largest_uv)
    wave = sine(rate_hz, OFF_MID * setup.mid_hz, peak_uv, FINE_S, ramp_s=0.005)
    name = f"quantisation.{spacing}"
    return laid_out(name, "direct", rate_hz, [("sine", wave, {})], corner_hz=high_hz)


def histogram(records: Sequence[Ints], spacing: int) -> Histogram:
    """Count the codes in the middle of some records, and how often each should have come.

    Parameters
    ----------
    records
        Codes, each shape ``(n,)``; what they have in common decides the window.
    spacing
        Of the codes that can occur.
    """
    low, high = np.percentile(records[0], MIDDLE)
    origin = int(records[0][0])
    first, last = (round((edge - origin) / spacing) for edge in (low, high))
    n = last - first + 1
    halves = np.zeros((2, n), np.int64)
    for codes in records:
        for half, part in zip(halves, np.array_split(codes, 2), strict=True):
            where = (part - origin) // spacing - first
            half[:] += np.bincount(where[(where >= 0) & (where < n)], minlength=n)
    counts = halves.sum(axis=0).astype(np.float64)
    width = min(max(FEWEST, n // SMOOTHED), n - 1) | 1
    expected = np.full(n, counts.mean())
    if n > FEWEST:
        expected = signal.savgol_filter(counts, width, 2)
    return Histogram(
        spacing=spacing,
        first=origin + first * spacing,
        halves=halves,
        expected=np.maximum(expected, 1e-3),
    )


def _histogram(measuring: Measuring) -> Histogram:
    """Return the histogram of the fine sine, and of the noise where that covers many codes."""
    setup = measuring.setup
    still = _codes(silence(measuring).uv[:, 0], setup)
    moving = _codes(measuring.played(gain_stimulus(setup)).uv[:, 0], setup)
    spacing = max(1, int(np.gcd.reduce(np.diff(np.concatenate([still, moving])))))
    stimulus = stimulus_of(setup, spacing)
    fine = _codes(measuring.played(stimulus).within(stimulus.segments[0])[1][:, 0], setup)
    records = [fine]
    if np.ptp(np.percentile(still, MIDDLE)) >= np.ptp(np.percentile(fine, MIDDLE)):
        records = [still, fine]
    return histogram(records, spacing)


def _codes(uv: Floats, setup: Setup) -> Ints:
    return np.asarray(np.rint(uv[np.isfinite(uv)] / _code_uv(setup)), np.int64)


def _code_uv(setup: Setup) -> float:
    return float(setup.device.scales_uv_per_count[0])


def _conditions(found: Histogram) -> str:
    n, mean = found.counts.size, found.counts.mean()
    last = found.first + found.spacing * (n - 1)
    return f"direct and shorted, codes {found.first} to {last}, each {mean:.0f} times on average"


def _share_note(setup: Setup, n_codes: int) -> str:
    whole = 2 * setup.device.range_uv / _code_uv(setup)
    return f"{n_codes} codes were looked at, {100 * n_codes / whole:.2g} % of the declared range"


PROCEDURES: tuple[Procedure, ...] = tuple(
    Procedure(id=id, title=title, states=("direct", "shorted"), measure=measure)
    for id, title, measure in (
        ("quantisation.lsb", "Size of a code", quantisation_lsb),
        (MISSING, "Missing codes", quantisation_missing_codes),
        ("quantisation.dnl", "Differential nonlinearity", quantisation_dnl),
    )
)
