"""The potentials of many fibres, compiled: the sums of `emgsim.physiology.potential`.

The readable reference lays a grid along the fibre. Here the path of the wave is cut into cells as
long as their distance from the metal allows, a few dozen near the electrode and five or six far
off, and in each one the path is a polynomial through eight points. The action potential's slope
``A (3 x^2 - k x^3) exp(-k x)`` is what a chain of four equal low-pass filters and a derivative
answers to an impulse, ``6 A s / (s + k)^4``. So the potential is the output of that chain, driven
by the path, in closed form within each cell: a polynomial, and a fading cubic that carries the
filters' state from cell to cell. It is exact at any instant, which makes it hardly dearer at 100
kHz than at 10 kHz, and the same signal.

In cells short against the decay length, near the metal, that closed form would lose digits: there
the filters' input is integrated by Gauss's rule. Lengths are counted in decay lengths ``1 / k``.

All kernels are in this one file, since the machine code that is kept is renewed only when the file
of the outermost one changes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from emgsim.physiology.compiling import compiled
from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.parameters import Medium
from emgsim.physiology.pick_up import PickUp, fibre_table, pick_up
from emgsim.physiology.potential import Electrode

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Four = tuple[float, float, float, float]

NODES = 8  # points of the polynomial in each cell
CELL = 0.5  # length of a cell over its distance from the metal, as seen along the fibre
SHORTEST = 1.0  # decay lengths; shorter cells are integrated by Gauss's rule
TAIL = 25.0  # decay lengths in which what the filters hold has died away to 4e-8


def _first_derivatives(nodes: Floats) -> Floats:
    """Return the derivatives, at 0, of the polynomials that are 1 at one node and 0 at the others.

    Shape ``(NODES, NODES)``: node, order of the derivative.
    """
    derivatives = np.zeros((nodes.size, nodes.size))
    for i, node in enumerate(nodes):
        others = np.delete(nodes, i)
        polynomial = Polynomial.fromroots(others) / np.prod(node - others)
        derivatives[i] = [polynomial.deriv(k)(0.0) for k in range(nodes.size)]
    return derivatives


# Rows of the bench, the kernel's room to work in: one array, since the heap and views are slow.
# Places in a cell on the way to the +z and then to the -z tendon, and dW/dz there; derivatives of
# the path at the cell's beginning and end, per decay length; coefficients of the cell's wave; and
# the filters.
_Z, _SLOPE, _LEFT, _RIGHT, _WAVE, _STATE = range(6)

_GAUSS, _GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(NODES)
_SHARES, _SHARE_WEIGHTS = (_GAUSS + 1.0) / 2.0, _GAUSS_WEIGHTS / 2.0
_FIT = _first_derivatives(_SHARES)
# Taylor's series from a cell's beginning to its end: derivative k there from derivative m here
_ONWARD = np.array(
    [[1.0 / math.factorial(m - k) if m >= k else 0.0 for k in range(NODES)] for m in range(NODES)]
)
# (1 + D)^-i as a power series in D: what the filters 1 to 4 settle to, shape (NODES, 4)
_SETTLING = np.array(
    [[(-1.0) ** m * math.comb(i + m - 1, m) for i in (1, 2, 3, 4)] for m in range(NODES)]
)
# Taylor's series of the difference of the last two: derivative m of the path in coefficient k
_WAVES = np.array(
    [
        [
            (_SETTLING[m - k, 2] - _SETTLING[m - k, 3]) / math.factorial(k) if m >= k else 0.0
            for k in range(NODES)
        ]
        for m in range(NODES)
    ]
)


def add_fibre_potentials(
    out: Floats, rate_hz: float, electrode: Electrode, medium: Medium, fibres: UnitFibres
) -> None:
    """Add the potential of every fibre, in microvolts, to ``out``.

    Parameters
    ----------
    out
        Shape ``(n_samples,)``; sample k lies ``k / rate_hz`` after the discharge.
    rate_hz
        Sampling rate.
    electrode, medium
        What listens, and in what.
    fibres
        Where the fibres lie, and when their end plates are excited.
    """
    rows = np.zeros(fibres.n_fibres, np.int64)
    table = fibre_table(electrode, medium, fibres)
    _add_fibres(out[None, :], rows, rate_hz, table, pick_up(electrode, medium))


def fibre_waves_uv(
    n_samples: int, rate_hz: float, electrode: Electrode, medium: Medium, fibres: UnitFibres
) -> Floats:
    """Return the potential of each fibre apart, shape ``(n_fibres, n_samples)``, microvolts.

    Parameters
    ----------
    n_samples
        Length of the window; sample k lies ``k / rate_hz`` after the discharge.
    rate_hz, electrode, medium, fibres
        As in `add_fibre_potentials`.
    """
    out = np.zeros((fibres.n_fibres, n_samples))
    rows = np.arange(fibres.n_fibres)
    table = fibre_table(electrode, medium, fibres)
    _add_fibres(out, rows, rate_hz, table, pick_up(electrode, medium))
    return out


class _Timing(NamedTuple):
    """How the samples fall into a cell, in decay lengths from its beginning."""

    past: float  # of the first sample
    step: float  # from sample to sample
    length: float  # of the cell
    gain: float  # microvolts of the filters' difference


class _Course(NamedTuple):
    """How the samples fall on a fibre's way."""

    kappa: float  # decays per mm
    origin_mm: float  # place of the front at sample 0
    step_mm: float  # from sample to sample
    gain: float  # microvolts of the filters' difference


@compiled
def _add_fibres(out: Floats, rows: Integers, rate_hz: float, table: Floats, ear: PickUp) -> None:
    """Add fibre after fibre, each to its row of ``out``."""
    slowest_mm = np.inf
    for f in range(table.shape[0]):
        slowest_mm = min(slowest_mm, table[f, 5] / rate_hz)
    bench = np.zeros((6, 2 * NODES))
    decay = np.empty(math.ceil(TAIL / (ear.decay_per_mm * slowest_mm)) + 1)
    for f in range(table.shape[0]):
        _add_fibre(out[rows[f]], rate_hz, table[f], ear, bench, decay)


@compiled
def _add_fibre(
    out: Floats, rate_hz: float, fibre: Floats, ear: PickUp, bench: Floats, decay: Floats
) -> None:
    """Add one fibre: cell after cell along its halves, then what the filters still hold."""
    half_a, half_b, speed_mm_s, delay_s = fibre[3], fibre[4], fibre[5], fibre[6]
    kappa = ear.decay_per_mm
    gain = fibre[7] * 6.0 * ear.amplitude / kappa**3
    course = _Course(kappa, -delay_s * speed_mm_s, speed_mm_s / rate_hz, gain)
    _fill_decay(decay, math.exp(-kappa * course.step_mm))
    bench[_STATE] = 0.0
    sharp = _sharp_places(fibre, ear)
    sample = math.ceil(delay_s * rate_hz)
    begin, last = 0.0, max(half_a, half_b)
    while begin < last and sample < out.size:
        border = half_a if begin < half_a else last
        if begin < half_b < border:
            border = half_b
        end = min(begin + _cell_mm(begin, fibre, sharp), border)
        _fit_path(bench, (begin, end), fibre, sharp, ear)
        sample = _add_cell(out, sample, (begin, end), course, bench, decay)
        begin = end
    bench[_LEFT] = 0.0
    bench[_RIGHT] = 0.0
    _add_cell(out, sample, (begin, begin + TAIL / kappa), course, bench, decay)


@compiled
def _fill_decay(decay: Floats, each: float) -> None:
    """Fill with the powers of one sample's decay, by doubling."""
    decay[0], n, factor = 1.0, 1, each
    while n < decay.size:
        for i in range(min(n, decay.size - n)):
            decay[n + i] = factor * decay[i]
        n, factor = 2 * n, factor * factor


@compiled
def _sharp_places(fibre: Floats, ear: PickUp) -> Floats:
    """Return where along the fibre the path is least smooth, and how smooth it is there.

    Shape ``(n, 4)``: place, half span of such places, and distance of the metal as seen along the
    fibre. For a surface it is its nearest point, for a line its ends and, if it passes the fibre
    between them, the place where it does. Last, for a surface, from how far its few far points
    serve; never where the fibre touches it, since the floor of the distance spoils the moments.
    """
    x, y, nearest = fibre[0], fibre[1], fibre[8]
    root = math.sqrt(ear.anisotropy)
    points, surfaces, lines = ear.points, ear.surfaces, ear.lines
    n = surfaces.shape[0]
    sharp = np.empty((n + 3 * lines.shape[0], 4))
    for i in range(n):
        square = np.inf
        for p in range(int(surfaces[i, 0]), int(surfaces[i, 1])):
            square = min(square, (points[p, 0] - x) ** 2 + (points[p, 1] - y) ** 2)
        distance = math.sqrt(square)
        sharp[i, 0], sharp[i, 1] = surfaces[i, 6], surfaces[i, 8]
        sharp[i, 2] = root * max(distance, nearest)
        sharp[i, 3] = surfaces[i, 7] if distance >= nearest else np.inf
    for i in range(lines.shape[0]):
        hx, hy, across, length = lines[i, 3], lines[i, 4], lines[i, 5], lines[i, 7]
        along = (lines[i, 0] - x) * hx + (lines[i, 1] - y) * hy
        aside = max(abs((lines[i, 0] - x) * hy - (lines[i, 1] - y) * hx), lines[i, 8], nearest)
        foot = min(max(-along / across, 0.0), length) if across > 0 else 0.0
        for s in (0.0, foot, length):
            sharp[n, 0], sharp[n, 1] = lines[i, 2] + lines[i, 6] * s, 0.0
            sharp[n, 2] = root * math.sqrt((along + across * s) ** 2 + aside**2)
            n += 1
    return sharp


@compiled
def _cell_mm(begin: float, fibre: Floats, sharp: Floats) -> float:
    """Return the length of the cell that begins somewhere: a share of its middle's distance."""
    z0, length = fibre[2], 0.0
    for _ in range(3):
        middle, square = begin + length / 2, np.inf
        for i in range(sharp.shape[0]):
            place, span, away = sharp[i, 0], sharp[i, 1], sharp[i, 2]
            if begin < fibre[3]:
                off = max(abs(z0 + middle - place) - span, 0.0)
                square = min(square, off * off + away * away)
            if begin < fibre[4]:
                off = max(abs(z0 - middle - place) - span, 0.0)
                square = min(square, off * off + away * away)
        length = CELL * math.sqrt(square)
    return length


@compiled
def _fit_path(
    bench: Floats, cell: tuple[float, float], fibre: Floats, sharp: Floats, ear: PickUp
) -> None:
    """Take the derivatives of the path at both ends of a cell, from its values at the nodes."""
    begin, end = cell
    for i in range(NODES):
        run = begin + (end - begin) * _SHARES[i]
        bench[_Z, i], bench[_Z, NODES + i] = fibre[2] + run, fibre[2] - run
    bench[_SLOPE] = 0.0
    _add_surfaces(bench, fibre, sharp, ear)
    _add_lines(bench, fibre, ear)
    onward = 1.0 if begin < fibre[3] else 0.0
    back = 1.0 if begin < fibre[4] else 0.0
    bench[_LEFT] = 0.0
    bench[_RIGHT] = 0.0
    for i in range(NODES):
        value = onward * bench[_SLOPE, i] - back * bench[_SLOPE, NODES + i]
        for k in range(NODES):
            bench[_LEFT, k] += value * _FIT[i, k]
    for m in range(NODES):  # not from the values, whose rounding would tell both ends apart
        for k in range(NODES):
            bench[_RIGHT, k] += bench[_LEFT, m] * _ONWARD[m, k]
    per_decay, power = 1.0 / (ear.decay_per_mm * (end - begin)), 1.0
    for k in range(NODES):
        bench[_LEFT, k] *= power
        bench[_RIGHT, k] *= power
        power *= per_decay


@compiled
def _add_surfaces(bench: Floats, fibre: Floats, sharp: Floats, ear: PickUp) -> None:
    """Add ``dW/dz`` of the points, or of the few that stand for them from afar, as shielded."""
    a, surfaces = ear.anisotropy, ear.surfaces
    for i in range(surfaces.shape[0]):
        cz = surfaces[i, 6]
        square = (surfaces[i, 4] - fibre[0]) ** 2 + (surfaces[i, 5] - fibre[1]) ** 2
        room = sharp[i, 3] ** 2 - a * square
        column = 2
        if room > 0:
            for first in (0, NODES):
                low, high = bench[_Z, first] - cz, bench[_Z, first + NODES - 1] - cz
                if low * high < 0 or min(low * low, high * high) < room:
                    column = 0
        begin, end = int(surfaces[i, column]), int(surfaces[i, column + 1])
        _add_points(bench, fibre, ear.points, begin, end, a)
    for i in range(2 * NODES):
        bench[_SLOPE, i] *= fibre[9]


@compiled
def _add_points(
    bench: Floats, fibre: Floats, points: Floats, begin: int, end: int, a: float
) -> None:
    """Add ``dW/dz`` of weighted points, four at a time: the processor does them side by side."""
    x, y, floor = fibre[0], fibre[1], fibre[8] ** 2
    for p in range(begin, end, 4):
        across0 = a * max((points[p, 0] - x) ** 2 + (points[p, 1] - y) ** 2, floor)
        across1 = a * max((points[p + 1, 0] - x) ** 2 + (points[p + 1, 1] - y) ** 2, floor)
        across2 = a * max((points[p + 2, 0] - x) ** 2 + (points[p + 2, 1] - y) ** 2, floor)
        across3 = a * max((points[p + 3, 0] - x) ** 2 + (points[p + 3, 1] - y) ** 2, floor)
        z0, z1, z2, z3 = points[p, 2], points[p + 1, 2], points[p + 2, 2], points[p + 3, 2]
        w0, w1, w2, w3 = points[p, 3], points[p + 1, 3], points[p + 2, 3], points[p + 3, 3]
        for i in range(2 * NODES):
            bench[_SLOPE, i] += (
                w0 * _pull(z0 - bench[_Z, i], across0)
                + w1 * _pull(z1 - bench[_Z, i], across1)
                + w2 * _pull(z2 - bench[_Z, i], across2)
                + w3 * _pull(z3 - bench[_Z, i], across3)
            )


@compiled
def _inverse_root(square: float) -> float:
    """Return ``1 / sqrt(square)`` to 1e-13: in single precision, then a step of Newton's rule."""
    y = np.float64(np.float32(1.0) / np.sqrt(np.float32(square)))
    return y * (1.5 - 0.5 * square * y * y)


@compiled
def _pull(dz: float, across: float) -> float:
    """Return ``dW/dz`` of one point."""
    inverse = _inverse_root(across + dz * dz)
    return dz * inverse * inverse * inverse


@compiled
def _add_lines(bench: Floats, fibre: Floats, ear: PickUp) -> None:
    """Add ``dW/dz`` of the lines, as `potential._line_slope` derives it."""
    a, lines = ear.anisotropy, ear.lines
    for p in range(lines.shape[0]):
        dx, dy, sz = lines[p, 0] - fibre[0], lines[p, 1] - fibre[1], lines[p, 2]
        hx, hy, across, tz, length = lines[p, 3], lines[p, 4], lines[p, 5], lines[p, 6], lines[p, 7]
        near = dx * hx + dy * hy
        far = near + across * length
        aside2 = max((dx * hy - dy * hx) ** 2, lines[p, 8] ** 2, fibre[8] ** 2)
        least, tilted = (a * across * across + tz * tz) * aside2, tz * aside2
        near2, far2 = a * (near * near + aside2), a * (far * far + aside2)
        scale = lines[p, 9] / length
        for i in range(2 * NODES):
            dz = sz - bench[_Z, i]
            ez = dz + tz * length
            m = across * dz - tz * near
            at_far = (m * far - tilted) * _inverse_root(far2 + ez * ez)
            at_near = (m * near - tilted) * _inverse_root(near2 + dz * dz)
            bench[_SLOPE, i] += scale * (at_far - at_near) / (least + m * m)


@compiled
def _add_cell(
    out: Floats,
    sample: int,
    cell: tuple[float, float],
    course: _Course,
    bench: Floats,
    decay: Floats,
) -> int:
    """Add the samples of a cell, bring the filters to its end, and return the next sample."""
    begin, end = cell
    following = math.ceil((end - course.origin_mm) / course.step_mm)
    first = max(sample, 0)
    part = out[first : max(min(following, out.size), first)]
    timing = _Timing(
        course.kappa * (course.origin_mm + first * course.step_mm - begin),
        course.kappa * course.step_mm,
        course.kappa * (end - begin),
        course.gain,
    )
    if timing.length < SHORTEST:
        _add_short(part, timing, bench)
    else:
        _add_long(part, timing, bench, decay)
    return following


@compiled
def _add_short(part: Floats, timing: _Timing, bench: Floats) -> None:
    """Add the samples of a short cell, and bring the filters to its end."""
    for j in range(part.size):
        _, _, third, fourth = _driven(timing.past + j * timing.step, bench)
        part[j] += timing.gain * (third - fourth)
    _hold(bench, _driven(timing.length, bench))


@compiled
def _hold(bench: Floats, state: Four) -> None:
    """Put the filters' state on the bench."""
    for i in range(4):
        bench[_STATE, i] = state[i]


@compiled
def _driven(x: float, bench: Floats) -> Four:
    """Return the filters x decay lengths after the cell's beginning, by Gauss's rule."""
    held = (bench[_STATE, 0], bench[_STATE, 1], bench[_STATE, 2], bench[_STATE, 3])
    a, b, c, d = _faded(held, x)
    for i in range(NODES):
        place = _SHARES[i] * x
        path, lag = 0.0, x - place
        for k in range(NODES - 1, -1, -1):
            path = path * place / (k + 1) + bench[_LEFT, k]
        drive = _SHARE_WEIGHTS[i] * x * path * math.exp(-lag)
        a += drive
        b += drive * lag
        c += drive * lag * lag / 2.0
        d += drive * lag * lag * lag / 6.0
    return a, b, c, d


@compiled
def _faded(held: Four, x: float) -> Four:
    """Return what the filters hold x decay lengths later, if nothing drives them."""
    a, b, c, d = held
    fade = math.exp(-x)
    return (
        fade * a,
        fade * (b + x * a),
        fade * (c + x * (b + x / 2 * a)),
        fade * (d + x * (c + x / 2 * (b + x / 3 * a))),
    )


@compiled
def _add_long(part: Floats, timing: _Timing, bench: Floats, decay: Floats) -> None:
    """Add the samples of a long cell in closed form, and bring the filters to its end.

    Driven by a polynomial each filter settles to ``(1 + D)^-1`` of its input, again a polynomial;
    what it holds beyond that at the beginning fades by its own law.
    """
    a, b, c, d = _settled(bench, _LEFT)
    free = (bench[_STATE, 0] - a, bench[_STATE, 1] - b, bench[_STATE, 2] - c, bench[_STATE, 3] - d)
    if part.size > 0:
        _add_wave(part, timing, bench)
        _add_fading(part, timing, free, decay)
    a, b, c, d = _faded(free, timing.length)
    e, f, g, h = _settled(bench, _RIGHT)
    _hold(bench, (a + e, b + f, c + g, d + h))


@compiled
def _settled(bench: Floats, end: int) -> Four:
    """Return what the filters settle to at an end of the cell."""
    a = b = c = d = 0.0
    for m in range(NODES):
        a += _SETTLING[m, 0] * bench[end, m]
        b += _SETTLING[m, 1] * bench[end, m]
        c += _SETTLING[m, 2] * bench[end, m]
        d += _SETTLING[m, 3] * bench[end, m]
    return a, b, c, d


@compiled
def _add_wave(part: Floats, timing: _Timing, bench: Floats) -> None:
    """Add the difference of what the last two filters settle to, a polynomial of degree 6."""
    bench[_WAVE] = 0.0
    for m in range(NODES):
        for k in range(NODES):
            bench[_WAVE, k] += timing.gain * bench[_LEFT, m] * _WAVES[m, k]
    q0, q1, q2, q3 = bench[_WAVE, 0], bench[_WAVE, 1], bench[_WAVE, 2], bench[_WAVE, 3]
    q4, q5, q6 = bench[_WAVE, 4], bench[_WAVE, 5], bench[_WAVE, 6]
    for j in range(part.size):
        x = timing.past + timing.step * j
        part[j] += (((((q6 * x + q5) * x + q4) * x + q3) * x + q2) * x + q1) * x + q0


@compiled
def _add_fading(part: Floats, timing: _Timing, free: Four, decay: Floats) -> None:
    """Add the difference of the last two filters as it fades: `_faded` at equal steps."""
    a, b, c, d = free
    gain = timing.gain * math.exp(-timing.past)
    c0, c1, c2, c3 = gain * (c - d), gain * (b - c), gain * (a - b) / 2.0, gain * a / -6.0
    for j in range(min(part.size, decay.size)):
        x = timing.past + timing.step * j
        part[j] += decay[j] * (((c3 * x + c2) * x + c1) * x + c0)
