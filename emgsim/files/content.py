"""What a recording's file holds, in its own units, before it becomes a `Recording`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emgsim.recording import Channel, Event, Gap, MotorUnit, Recording, Truth

Floats = NDArray[np.float64]

UV_PER_UNIT = {"nV": 1e-3, "uV": 1.0, "mV": 1e3, "V": 1e6}
MICRO = str.maketrans({"\N{MICRO SIGN}": "u", "\N{GREEK SMALL LETTER MU}": "u"})
# Words of a transducer's or a channel's description; the first that fits counts.
KINDS = (
    ("concentric", "concentric_needle"),
    ("monopolar", "monopolar"),
    ("single fib", "single_fibre"),
    ("sfemg", "single_fibre"),
    ("fine wire", "fine_wire"),
    ("fine-wire", "fine_wire"),
    ("surface", "surface"),
)
DISCHARGE = re.compile(r"\s*(?:mu|unit|motor unit)[\s_#-]*(\d{1,6})\s*", re.IGNORECASE)
MUAP_S = (0.005, 0.010)  # of an averaged potential, before and after the annotated time
MOST_SAMPLES = 2**28  # 2 GB of one channel: beyond that a file's gaps are taken for a mistake


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One channel of a file: its values in ``unit``, NaN where the file has none."""

    name: str
    unit: str
    rate_hz: float
    values: Floats  # (n_samples,)
    words: str = ""  # what the file says of its electrode

    @property
    def uv_per_unit(self) -> float | None:
        """Microvolts per unit of the values; None if the unit is no voltage."""
        return uv_per_unit(self.unit)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One annotation: on the file's clock, ``duration_s`` 0 for a moment."""

    onset_s: float
    duration_s: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Content:
    """All that a file holds. The clock's zero is the file's start time."""

    signals: tuple[Signal, ...]
    start_s: float = 0.0
    marks: tuple[Mark, ...] = ()


def uv_per_unit(unit: str) -> float | None:
    """Return microvolts per unit; None if it is no voltage.

    Examples
    --------
    >>> uv_per_unit("mV"), uv_per_unit("degC")
    (1000.0, None)
    """
    plain = unit.strip().translate(MICRO)
    # "MV" and "UV" are left out: mega or milli is not for us to guess
    return {**UV_PER_UNIT, "uv": 1.0, "mv": 1e3}.get(plain)


def kind_of(words: str) -> str:
    """Return the electrode kind that a description names; ``unknown`` if it names none."""
    return next((kind for word, kind in KINDS if word in words.lower()), "unknown")


def with_unique_names(signals: Sequence[Signal]) -> tuple[Signal, ...]:
    """Return the signals, the second of one name called ``name (2)`` and so on."""
    seen: dict[str, int] = {}
    out = []
    for signal in signals:
        seen[signal.name] = n = seen.get(signal.name, 0) + 1
        out.append(signal if n == 1 else replace(signal, name=f"{signal.name} ({n})"))
    return tuple(out)


def recording_of(
    content: Content, names: Sequence[str] = (), scale_uv_per_unit: float | None = None
) -> Recording:
    """Return the wanted channels in microvolts, NaN runs as gaps.

    Parameters
    ----------
    content
        What the file holds.
    names
        Channels, in this order. Without any: every voltage of the highest rate among them.
    scale_uv_per_unit
        Microvolts per unit, for signals whose unit is not known to be a voltage.

    Raises
    ------
    ValueError
        If no channel is left, a unit is not known, or the rates differ.
    """
    signals = _chosen(with_unique_names(content.signals), names, scale_uv_per_unit)
    rates = sorted({signal.rate_hz for signal in signals})
    if len(rates) > 1:
        named = ", ".join(f"{s.name!r} {s.rate_hz:g} Hz" for s in signals)
        raise ValueError(f"channels of one recording must have one rate, got {named}")
    if not (np.isfinite(rates[0]) and rates[0] > 0):
        raise ValueError(f"the rate of {signals[0].name!r} must be > 0 Hz, got {rates[0]:g}")
    columns = [s.values * _scale(s, scale_uv_per_unit) for s in signals]
    samples_uv = np.stack(columns, axis=1)
    if np.any(np.isinf(samples_uv)):
        raise ValueError("samples must be finite, or NaN where there are none; got infinity")
    if samples_uv.shape[0] == 0:
        raise ValueError("the file holds no samples")
    return Recording(
        samples_uv=samples_uv,
        rate_hz=rates[0],
        channels=tuple(
            Channel(name=s.name, kind=kind_of(f"{s.words} {s.name}"), reference="") for s in signals
        ),
        start_s=content.start_s,
        gaps=gaps_of(samples_uv),
    )


def _chosen(
    signals: tuple[Signal, ...], names: Sequence[str], scale: float | None
) -> tuple[Signal, ...]:
    if not signals:
        raise ValueError("the file holds no channels")
    if names:
        return tuple(signals[k] for k in places([s.name for s in signals], names))
    voltages = tuple(s for s in signals if s.uv_per_unit is not None)
    candidates = voltages or (signals if scale is not None else ())
    if not candidates:
        units = ", ".join(f"{s.name!r} in {s.unit!r}" for s in signals)
        raise ValueError(f"no channel is a voltage ({units}): the scale to microvolts is needed")
    rate_hz = max(signal.rate_hz for signal in candidates)
    return tuple(signal for signal in candidates if signal.rate_hz == rate_hz)


def places(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return the place of each wanted channel among all names.

    Raises
    ------
    ValueError
        If one is not there, or wanted twice.
    """
    missing = [name for name in wanted if name not in names]
    if missing:
        there = ", ".join(map(repr, names))
        raise ValueError(f"no channel is called {missing[0]!r}; there is {there}")
    if len(set(wanted)) < len(wanted):
        raise ValueError(f"a channel may be wanted once only, got {', '.join(map(repr, wanted))}")
    return [list(names).index(name) for name in wanted]


def _scale(signal: Signal, scale_uv_per_unit: float | None) -> float:
    known = signal.uv_per_unit
    if known is None and scale_uv_per_unit is None:
        raise ValueError(
            f"the unit of {signal.name!r} is {signal.unit!r}, no voltage: "
            "the scale to microvolts is needed"
        )
    if known is not None and scale_uv_per_unit is not None:
        raise ValueError(f"{signal.name!r} is in {signal.unit}: a scale would contradict it")
    return float(known if scale_uv_per_unit is None else scale_uv_per_unit)  # type: ignore[arg-type]


def gaps_of(samples_uv: Floats) -> tuple[Gap, ...]:
    """Return the runs of samples that no channel has, shape ``(n_samples, n_channels)``."""
    is_lost = np.all(np.isnan(samples_uv), axis=1)
    edges = np.flatnonzero(np.diff(is_lost.astype(np.int8), prepend=0, append=0))
    return tuple(
        Gap(first_sample=int(first), n_samples=int(end - first))
        for first, end in edges.reshape(-1, 2)
    )


def truth_of(marks: Sequence[Mark], recording: Recording) -> Truth | None:
    """Return a file's annotations as truth; None if it has none.

    A moment called ``MU 3``, ``unit 3`` or ``motor unit 3`` is a discharge of that unit, its main
    spike there; its MUAP is the median of the recording about its discharges. All else is an event.
    """
    trains: dict[int, list[float]] = {}
    events = []
    for mark in marks:
        unit = DISCHARGE.fullmatch(mark.text) if mark.duration_s == 0 else None
        if unit is not None:
            trains.setdefault(int(unit[1]), []).append(mark.onset_s)
        else:
            end_s = mark.onset_s + mark.duration_s
            events.append(Event(kind=mark.text, onset_s=mark.onset_s, offset_s=end_s))
    if not marks:
        return None
    return Truth(
        units=tuple(_unit(id, np.sort(trains[id]), recording) for id in sorted(trains)),
        muap_rate_hz=recording.rate_hz,
        events=tuple(events),
    )


def truth_of_channels(truth: Truth, kept: Sequence[int]) -> Truth:
    """Return the truth with the potentials of the kept channels alone, in that order."""
    return replace(
        truth,
        units=tuple(replace(u, muap_uv=u.muap_uv[:, kept]) for u in truth.units),
        spontaneous=tuple(
            replace(s, potential_uv=s.potential_uv[:, kept]) for s in truth.spontaneous
        ),
    )


def _unit(id: int, times_s: Floats, recording: Recording) -> MotorUnit:
    return MotorUnit(
        id=id,
        muscle="",
        threshold=float("nan"),
        n_fibres=0,
        discharge_times_s=times_s,
        muap_uv=_median_potential_uv(times_s, recording),
        muap_start_s=-round(MUAP_S[0] * recording.rate_hz) / recording.rate_hz,
        arrival_s=0.0,
    )


def _median_potential_uv(times_s: Floats, recording: Recording) -> Floats:
    """Return the median over all discharges whose window lies within the recording."""
    before, after = (round(s * recording.rate_hz) for s in MUAP_S)
    centres = np.rint((times_s - recording.start_s) * recording.rate_hz).astype(np.int64)
    inside = (centres >= before) & (centres < recording.n_samples - after)
    windows = centres[inside, None] + np.arange(-before, after)
    if windows.size == 0:
        return np.zeros((before + after, len(recording.channels)))
    cut = recording.samples_uv[windows]
    cut = cut[np.all(np.isfinite(cut), axis=(1, 2))]
    return np.median(cut, axis=0) if cut.size else np.zeros(windows.shape[1:] + cut.shape[2:])
