"""Items of a dataset, fabricated: of needle, array and grid; with gaps, stems and odd rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from emgsim.dataset.made import DatasetHead, Item, Made
from emgsim.recording import Channel, Event, Gap, MotorUnit, Recording, Truth

HEAD = DatasetHead(
    id="small",
    title="A small set",
    description="Two simulated recordings.",
    licence="CC-BY-4.0",
    authors=("emgsim",),
    version="1.0.0",
)
NEEDLE = {
    "kind": "concentric_needle", "core_mm": 0.15, "bevel_deg": 15.0, "cannula_mm": 0.46,
    "cannula_length_mm": 15.0, "shielding": 0.5, "tip": {"x_mm": 1.0}, "moves": [], "seek": None,
}  # fmt: skip
ARRAY = {
    "kind": "thin_film", "n_contacts": 8, "pitch_mm": 0.5, "contact_length_mm": 0.04,
    "contact_width_mm": 0.14, "montage": "monopolar", "tip": {}, "moves": [], "seek": None,
}  # fmt: skip
SURFACE = {
    "kind": "surface_grid", "rows": 4, "columns": 2, "pitch_mm": 4.0, "pad_mm": 2.0,
    "centre_z_mm": 20.0, "montage": "monopolar", "noise_uv": 1.0, "lead_off": [],
}  # fmt: skip


def channels_of(electrode: Mapping[str, Any]) -> tuple[Channel, ...]:
    """Return the channels of an electrode: one of a needle, eight of an array, in a row."""
    kind = str(electrode["kind"])
    if kind == "concentric_needle":
        return (Channel(name="needle", band_hz=(20.0, 10_000.0), position_mm=(1.0, 0.0, 20.0)),)
    return tuple(
        Channel(
            name=f"{kind} {k + 1}",
            kind=kind,
            reference="remote",
            position_mm=(1.0, 23.5, 20.0 + 0.5 * k),
        )
        for k in range(8)
    )


def recording_of(
    electrode: Mapping[str, Any] = NEEDLE,
    *,
    rate_hz: float = 23_437.5,
    n_samples: int = 12_345,
    start_s: float = 0.0,
    offset_uv: float = 37.25,
    gaps: tuple[Gap, ...] = (),
    seed: int = 1,
) -> Recording:
    """Return noise about an offset, NaN in the gaps."""
    channels = channels_of(electrode)
    samples_uv = np.random.default_rng(seed).normal(offset_uv, 150.0, (n_samples, len(channels)))
    for gap in gaps:
        samples_uv[gap.first_sample : gap.first_sample + gap.n_samples] = np.nan
    return Recording(
        samples_uv=samples_uv, rate_hz=rate_hz, channels=channels, start_s=start_s, gaps=gaps
    )


def truth_of(electrode: Mapping[str, Any] = NEEDLE, rate_hz: float = 23_437.5) -> Truth:
    """Return two units, a rest and an effort."""
    n_channels = len(channels_of(electrode))
    times_s = (np.array([0.0712345678901234, 0.2, 0.33]), np.array([0.15, 0.4]))
    units = tuple(
        MotorUnit(
            id=k + 1,
            muscle="biceps_brachii",
            threshold=0.01 * (k + 1),
            n_fibres=20 + k,
            discharge_times_s=times_s[k],
            muap_uv=np.random.default_rng(k).normal(0, 100, (50, n_channels)),
            muap_start_s=0.004,
            arrival_s=0.005 + k / 1000,
        )
        for k in range(2)
    )
    return Truth(
        units=units,
        muap_rate_hz=rate_hz,
        events=(
            Event(kind="rest", onset_s=0.0, offset_s=0.1),
            Event(kind="hold", onset_s=0.1, offset_s=0.5, grade=0.05),
        ),
        needle={"x_mm": 1.0, "y_mm": 0.0, "z_mm": 20.0, "rotation_deg": 0.0, "tilt_deg": 0.0,
                "tilt_azimuth_deg": 0.0},
        conditions=("neuropathy",),
    )  # fmt: skip


def item_of(number: int = 0, *, subject: str = "0001") -> Item:
    """Return an item of the plan."""
    return Item(
        index=number,
        id=f"{number:03}",
        scenario="healthy_biceps",
        overrides=(f"seed={number}",),
        parameters={"phases.1.level_mvc": 0.05, "kind": "healthy"},
        subject=subject,
        seed=40 + number,
        split="train",
        pair="p1",
        variant="healthy",
    )


def made_of(
    electrode: Mapping[str, Any] = NEEDLE,
    *,
    number: int = 0,
    subject: str = "0001",
    recordings: Mapping[str, Recording] | None = None,
) -> Made:
    """Return an item as made: clean, a device's with a gap on its own clock, and a stem."""
    gap = Gap(first_sample=1000, n_samples=77)
    return Made(
        item=item_of(number, subject=subject),
        recordings=recordings
        or {
            "clean": recording_of(electrode, seed=10 * number),
            "device": recording_of(
                electrode, rate_hz=4000.12, n_samples=2111, start_s=0.0625, gaps=(gap,),
                seed=10 * number + 1,
            ),
            "stem-noise": recording_of(electrode, seed=10 * number + 2),
        },
        truth=truth_of(electrode),
        labels={"muscle": "biceps_brachii", "side": "left", "age_years": 44.0,
                "is_healthy": True, "force_max_mvc": 0.05},
        scenario={
            "schema": "emgsim.scenario/1", "id": "healthy_biceps", "title": "A healthy biceps",
            "muscle": {"name": "biceps_brachii", "fibres": {"length_mm": 120.0}},
            "electrode": electrode,
            "artefacts": [{"kind": "mains", "frequency_hz": 50.0}],
        },
    )  # fmt: skip
