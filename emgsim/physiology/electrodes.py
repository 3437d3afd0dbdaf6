"""Electrodes in place: the surfaces of each recorded channel, their impedance and their noise.

A shaft stands in the muscle with three directions of its own: the one it faces (the bevel's side,
+x without rotation and tilt), the one to its hub (+y) and the one aside (+z).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emgsim.physiology.parameters import (
    ConcentricNeedle,
    ElectrodeKind,
    FineWire,
    Macro,
    Medium,
    Monopolar,
    SingleFibre,
    ThinFilm,
    TipPosition,
)
from emgsim.physiology.potential import Electrode, Line, Shield, difference, line_electrode
from emgsim.recording import Channel

Floats = NDArray[np.float64]

CORE_FACETS = (5, 13)  # rings and spokes of the core's ellipse
CONE_FACETS = (6, 8)  # rings and spokes of the monopolar cone
DISC_FACETS = (2, 5)  # rings and spokes of the single-fibre disc
CONTACT_FACETS = (2, 6)  # facets of a thin-film contact along the shaft and across it

DOUBLE_LAYER_F_MM2 = 20e-6 / 100  # 20 uF/cm2: noble metals and steel in saline [M]


class _Frame:
    """Where a recording surface's centre is, and the shaft's directions there."""

    centre: Floats
    hubward: Floats
    facing: Floats
    aside: Floats

    def __init__(self, tip: TipPosition) -> None:
        rotation, tilt, azimuth = np.radians([tip.rotation_deg, tip.tilt_deg, tip.tilt_azimuth_deg])
        lean = np.array([np.cos(azimuth), 0.0, np.sin(azimuth)])
        upright = np.array([0.0, 1.0, 0.0])
        self.centre = np.array([tip.x_mm, tip.y_mm, tip.z_mm])
        self.hubward = np.cos(tilt) * upright + np.sin(tilt) * lean
        # What faced the lean now faces the muscle's depth by as much; what lay across it stays.
        leant = np.cos(tilt) * lean - np.sin(tilt) * upright
        across = np.cross(lean, upright)
        turn = rotation - azimuth
        self.facing = np.cos(turn) * leant + np.sin(turn) * across
        self.aside = np.cross(self.facing, self.hubward)

    def at(self, facing: ArrayLike, hubward: ArrayLike, aside: ArrayLike) -> Floats:
        """Return places given in the shaft's directions, shape ``(n, 3)``, mm."""
        parts = np.broadcast_arrays(facing, hubward, aside)
        own = np.column_stack([np.ravel(part) for part in parts])
        places_mm: Floats = own @ np.stack([self.facing, self.hubward, self.aside])
        return places_mm + self.centre

    def line(self, begin: tuple[float, float, float], length_mm: float, diameter_mm: float) -> Line:
        """Return a conductor that runs to the hub from a place in the shaft's directions."""
        return Line(
            start_mm=self.at(*begin)[0],
            direction=self.hubward,
            length_mm=length_mm,
            radius_mm=diameter_mm / 2,
            weight=1.0,
        )


def hubward(tip: TipPosition) -> Floats:
    """Return the direction from the tip up its shaft, shape ``(3,)``, length 1."""
    return _Frame(tip).hubward


@lru_cache(maxsize=256)  # the units of a muscle listen at the same place in turn
def channels(electrode: ElectrodeKind, tip: TipPosition) -> tuple[Electrode, ...]:
    """Return the surfaces of each recorded channel of an electrode at a place.

    Parameters
    ----------
    electrode
        One of the kinds of `emgsim.physiology.parameters`.
    tip
        Where the centre of the recording surface lies: of the core, the cone, the disc, the macro
        needle's port, of both wires together or of the whole array; and how the shaft stands.

    Returns
    -------
    tuple
        One `Electrode` per channel, in the order of `recording_channels`.
    """
    frame = _Frame(tip)
    match electrode:
        case ConcentricNeedle():
            return (_concentric(electrode, frame),)
        case Monopolar():
            return (_monopolar(electrode, frame),)
        case SingleFibre():
            port_mm, length_mm = electrode.port_mm, electrode.cannula_length_mm
            return (_port(frame, electrode.disc_mm, electrode.cannula_mm, port_mm, length_mm),)
        case Macro():
            port_mm, length_mm = electrode.port_mm, electrode.bare_mm
            begin = (-electrode.cannula_mm / 2, -port_mm, 0.0)
            bare = line_electrode(frame.line(begin, length_mm, electrode.cannula_mm))
            port = _port(frame, electrode.disc_mm, electrode.cannula_mm, port_mm, length_mm)
            return (bare, port)
        case FineWire():
            return (_fine_wire(electrode, frame),)
        case ThinFilm():
            return _thin_film(electrode, frame)


def recording_channels(electrode: ElectrodeKind, name: str = "needle") -> tuple[Channel, ...]:
    """Return the names, kinds and references of the channels that an electrode records.

    A single channel is called ``name``; of several each adds what it is.
    """
    match electrode:
        case ConcentricNeedle() | SingleFibre():
            return (Channel(name=name, kind=electrode.kind, reference="cannula"),)
        case Monopolar():
            return (Channel(name=name, kind=electrode.kind, reference="remote"),)
        case Macro():
            return (
                Channel(name=f"{name} macro", kind=electrode.kind, reference="remote"),
                Channel(name=f"{name} port", kind="single_fibre", reference="cannula"),
            )
        case FineWire():
            return (Channel(name=name, kind=electrode.kind, reference="second wire"),)
        case ThinFilm(montage="monopolar"):
            return tuple(
                Channel(name=f"{name} {k + 1}", kind=electrode.kind, reference="remote")
                for k in range(electrode.n_contacts)
            )
        case ThinFilm():
            return tuple(
                Channel(name=f"{name} {k + 1}", kind=electrode.kind, reference=f"{name} {k + 2}")
                for k in range(electrode.n_contacts - 1)
            )


def positions_mm(electrode: ElectrodeKind, tip: TipPosition) -> Floats:
    """Return where each channel records, ``(n_channels, 3)``: across, up to the skin and along.

    The contacts of a thin film lie in a row up the shaft about its centre; anything else records
    where its tip is said to lie.
    """
    frame, n_channels = _Frame(tip), len(recording_channels(electrode))
    if not isinstance(electrode, ThinFilm):
        return np.array([frame.centre] * n_channels, dtype=np.float64)
    return frame.at(0.0, _contacts_mm(electrode)[:n_channels], 0.0)


def _contacts_mm(array: ThinFilm) -> Floats:
    """Return the height of each contact over the array's centre, from the tip up."""
    numbers = np.arange(array.n_contacts, dtype=np.float64)
    return np.asarray(array.pitch_mm * (numbers - (array.n_contacts - 1) / 2))


def _surface(points_mm: Floats) -> Electrode:
    """Return facets of equal area as one recording surface."""
    n = points_mm.shape[0]
    return Electrode(points_mm=points_mm, weights=np.full(n, 1 / n))


def _disc(rings: int, spokes: int) -> tuple[Floats, Floats]:
    """Return the centres of facets of equal area of the unit disc."""
    radius = np.sqrt((np.arange(rings) + 0.5) / rings)
    angle = 2 * np.pi * (np.arange(spokes) + 0.5) / spokes
    r, a = (g.ravel() for g in np.meshgrid(radius, angle, indexing="ij"))
    return r * np.cos(a), r * np.sin(a)


def _concentric(needle: ConcentricNeedle, frame: _Frame) -> Electrode:
    """Return facets of the elliptic core against the cannula.

    The wire lies in the cannula's axis. The bevel runs from the tip, at the back, up to the heel,
    on the side it faces; above the heel the cannula is closed, and counts. Its metal keeps part of
    what lies behind from the core.
    """
    u, v = _disc(*CORE_FACETS)
    bevel = math.radians(needle.bevel_deg)
    along = needle.core_length_mm / 2 * v
    core = frame.at(along * math.sin(bevel), along * math.cos(bevel), needle.core_mm / 2 * u)
    heel_mm = needle.cannula_mm / math.tan(bevel) / 2
    cannula = frame.line((0.0, heel_mm, 0.0), needle.cannula_length_mm, needle.cannula_mm)
    against = difference(_surface(core), line_electrode(cannula))
    return _shielded(against, frame, needle.cannula_mm, needle.shielding)


def _shielded(electrode: Electrode, frame: _Frame, body_mm: float, share: float) -> Electrode:
    """Return an electrode whose points lie in the axis of a body of metal and face away from it."""
    if share == 0:
        return electrode
    centre, facing = frame.centre[:2], frame.facing[:2]
    shield = Shield(centre_mm=centre, facing=facing, radius_mm=body_mm / 2, share=share)
    return replace(electrode, shield=shield)


def _monopolar(needle: Monopolar, frame: _Frame) -> Electrode:
    """Return facets of the bare cone; its centre of area lies two thirds of the way up."""
    rings, spokes = CONE_FACETS
    share = np.sqrt((np.arange(rings) + 0.5) / rings)  # of the cone's length from its tip
    angle = 2 * np.pi * (np.arange(spokes) + 0.5) / spokes
    up, a = (g.ravel() for g in np.meshgrid(share, angle, indexing="ij"))
    radius_mm = needle.shaft_mm / 2 * up
    height_mm = needle.exposed_mm * (up - up.mean())
    return _surface(frame.at(radius_mm * np.cos(a), height_mm, radius_mm * np.sin(a)))


def _port(
    frame: _Frame, disc_mm: float, cannula_mm: float, port_mm: float, length_mm: float
) -> Electrode:
    """Return the disc of a side port against the cannula about it."""
    u, v = _disc(*DISC_FACETS)
    disc = _surface(frame.at(0.0 * u, disc_mm / 2 * v, disc_mm / 2 * u))
    cannula = frame.line((-cannula_mm / 2, -port_mm, 0.0), length_mm, cannula_mm)
    return difference(disc, line_electrode(cannula))


def _fine_wire(wires: FineWire, frame: _Frame) -> Electrode:
    """Return the bared end of one wire against that of the other."""
    first, second = (
        line_electrode(
            frame.line((0.0, -wires.bared_mm / 2, aside_mm), wires.bared_mm, wires.wire_mm)
        )
        for aside_mm in (-wires.apart_mm / 2, wires.apart_mm / 2)
    )
    return difference(first, second)


def _thin_film(array: ThinFilm, frame: _Frame) -> tuple[Electrode, ...]:
    """Return the contacts from the tip up, or each against the next."""
    n_along, n_across = CONTACT_FACETS
    along = array.contact_length_mm * ((np.arange(n_along) + 0.5) / n_along - 0.5)
    across = array.contact_width_mm * ((np.arange(n_across) + 0.5) / n_across - 0.5)
    height, aside = (g.ravel() for g in np.meshgrid(along, across, indexing="ij"))
    contacts = tuple(
        _surface(frame.at(0.0 * aside, mm + height, aside)) for mm in _contacts_mm(array)
    )
    if array.montage == "monopolar":
        return contacts
    return tuple(map(difference, contacts[:-1], contacts[1:]))


def surfaces_mm2(electrode: ElectrodeKind) -> tuple[tuple[float, ...], ...]:
    """Return the areas of the metal surfaces that are in series in each channel, mm2.

    A remote reference is taken to be large: it is left out.
    """
    match electrode:
        case ConcentricNeedle(core_mm=core, core_length_mm=long, cannula_mm=d):
            return ((math.pi / 4 * core * long, math.pi * d * electrode.cannula_length_mm),)
        case Monopolar(shaft_mm=d):
            return ((math.pi * d / 2 * math.hypot(electrode.exposed_mm, d / 2),),)
        case SingleFibre(disc_mm=disc, cannula_mm=d):
            return ((math.pi / 4 * disc**2, math.pi * d * electrode.cannula_length_mm),)
        case Macro(disc_mm=disc, cannula_mm=d):
            bare = math.pi * d * electrode.bare_mm
            return ((bare,), (math.pi / 4 * disc**2, bare))
        case FineWire():
            wire = math.pi * electrode.wire_mm * electrode.bared_mm
            return ((wire, wire),)
        case ThinFilm(n_contacts=n):
            contact = electrode.contact_length_mm * electrode.contact_width_mm
            return (
                ((contact,),) * n
                if electrode.montage == "monopolar"
                else ((contact, contact),) * (n - 1)
            )


def impedance_ohm(
    electrode: ElectrodeKind, f_hz: ArrayLike, medium: Medium | None = None
) -> NDArray[np.complex128]:
    """Return the impedance of each channel's surfaces in series, shape ``(n_channels, n_f)``, ohm.

    Each surface is the spreading resistance of a disc of its area, ``1 / (4 a sqrt(sr sz))``, and
    a double layer of 20 uF/cm2. For a long surface the disc's resistance is an upper bound: about
    twice that of the bare cannula.

    Parameters
    ----------
    electrode
        One of the kinds.
    f_hz
        Frequencies > 0, shape ``(n_f,)`` or one number.
    medium
        The muscle about it; the default one if not given.

    Raises
    ------
    ValueError
        If a frequency is not positive: the double layer lets no steady current pass.
    """
    f = np.atleast_1d(np.asarray(f_hz, dtype=np.float64))
    if not np.all(f > 0):
        raise ValueError(f"f_hz must be > 0, got {f.min():g}")
    m = medium or Medium()
    conductivity_s_mm = 1e-3 * math.sqrt(m.sigma_radial_s_m * m.sigma_axial_s_m)
    total = np.zeros((len(surfaces_mm2(electrode)), f.size), dtype=np.complex128)
    for channel, areas in enumerate(surfaces_mm2(electrode)):
        for area_mm2 in areas:
            total[channel] += 1 / (4 * math.sqrt(area_mm2 / math.pi) * conductivity_s_mm)
            total[channel] += 1 / (2j * np.pi * f * DOUBLE_LAYER_F_MM2 * area_mm2)
    return total
