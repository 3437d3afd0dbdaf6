"""Which twin answers the driver that a rig file names.

A row is made when the twin of a driver is written; a driver without a row cannot be named by a
virtual rig. Sources and captures are engines, which any wire carries; a device opens its own port.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from emgsim.errors import InputError
from emgsim.plant.faults import Faults
from emgsim.plant.world import World
from emgsim.virtual.amplifier import IDENTITY_OF_FOUR, VirtualAmplifier
from emgsim.virtual.bitalino import VirtualBitalino
from emgsim.virtual.csv_amplifier import VirtualCsvAmplifier
from emgsim.virtual.frame_faults import FrameFaults
from emgsim.virtual.freeeeg32 import VirtualFreeEEG32
from emgsim.virtual.generator import VirtualGenerator
from emgsim.virtual.openbci import VirtualCyton
from emgsim.virtual.quattrocento import VirtualQuattrocento
from emgsim.virtual.rigol_generator import VirtualRigolGenerator
from emgsim.virtual.scope import VirtualScope
from emgsim.virtual.scpi import Engine
from emgsim.virtual.shimmer3 import VirtualShimmer3
from emgsim.virtual.siglent_generator import VirtualSiglentGenerator
from emgsim.virtual.siglent_scope import VirtualSiglentScope
from emgsim.virtual.tektronix_generator import VirtualTektronixGenerator


class Port(Protocol):
    """A device on a port of its own, such as a pseudo-terminal."""

    def open(self) -> str:
        """Open the port in the running event loop, and return the path that a client opens."""

    def close(self) -> None:
        """Hang up."""


class MakeSource(Protocol):
    """Makes the twin that stands before one generator of the world, from 0."""

    def __call__(self, world: World, faults: Faults, number: int = 0) -> Engine:
        """Return it, with its own faults."""


MakeCapture = Callable[[World, Faults], Engine]
MakePort = Callable[[World, Faults], Port]


def _keysight_33500(world: World, faults: Faults, number: int = 0) -> Engine:
    own = faults.of(number)
    return VirtualGenerator(
        world, number, has_source_error=own.source_error, is_stuck=own.source.stuck_output
    ).engine


def _siglent_sdg(world: World, faults: Faults, number: int = 0) -> Engine:
    own = faults.of(number)
    return VirtualSiglentGenerator(
        world, number, has_source_error=own.source_error, is_stuck=own.source.stuck_output
    ).engine


def _tektronix_afg(world: World, faults: Faults, number: int = 0) -> Engine:
    own = faults.of(number)
    return VirtualTektronixGenerator(
        world, number, has_source_error=own.source_error, is_stuck=own.source.stuck_output
    ).engine


def _rigol_dg(world: World, faults: Faults, number: int = 0) -> Engine:
    own = faults.of(number)
    return VirtualRigolGenerator(
        world, number, has_source_error=own.source_error, is_stuck=own.source.stuck_output
    ).engine


def _keysight_infiniivision(world: World, _: Faults) -> Engine:
    return VirtualScope(world).engine


def _siglent_sds(world: World, _: Faults) -> Engine:
    return VirtualSiglentScope(world).engine


def _na1(world: World, faults: Faults) -> Port:
    return VirtualAmplifier(world, _frame_faults(faults))


def _na4(world: World, faults: Faults) -> Port:
    return VirtualAmplifier(world, _frame_faults(faults), IDENTITY_OF_FOUR)


def _cyton(world: World, faults: Faults) -> Port:
    return VirtualCyton(world, _frame_faults(faults))


def _csv(world: World, faults: Faults) -> Port:
    return VirtualCsvAmplifier(world, _frame_faults(faults))


def _freeeeg32(world: World, faults: Faults) -> Port:
    return VirtualFreeEEG32(world, _frame_faults(faults))


def _frame_faults(faults: Faults) -> FrameFaults:
    return FrameFaults(
        drop_every_n_frames=faults.drop_every_n_frames,
        drop_frames=faults.drop_frames,
        repeat_every_n_frames=faults.repeat_every_n_frames,
        corrupt_every_n_frames=faults.corrupt_every_n_frames,
        break_every_n_frames=faults.break_every_n_frames,
        hang_up_after_frames=faults.hang_up_after_frames,
    )


def _bitalino(world: World, faults: Faults) -> Port:
    return VirtualBitalino(world, _frame_faults(faults))


def _shimmer3(world: World, faults: Faults) -> Port:
    return VirtualShimmer3(world, _frame_faults(faults))


def _quattrocento(world: World, faults: Faults) -> Port:
    return VirtualQuattrocento(world, _frame_faults(faults))


SOURCES: dict[str, MakeSource] = {
    "keysight.33500": _keysight_33500,
    "siglent.sdg": _siglent_sdg,
    "tektronix.afg": _tektronix_afg,
    "rigol.dg": _rigol_dg,
}
"""By the driver's name."""

CAPTURES: dict[str, MakeCapture] = {
    "keysight.infiniivision": _keysight_infiniivision,
    "siglent.sds": _siglent_sds,
}
"""By the driver's name."""

DEVICES: dict[tuple[str, str], MakePort] = {
    ("serial.frames", "na1"): _na1,
    ("serial.frames", "na4"): _na4,
    ("serial.frames", "cyton"): _cyton,
    ("serial.frames", "cyton_daisy"): _cyton,
    ("serial.frames", "freeeeg32"): _freeeeg32,
    ("serial.frames", "csv"): _csv,
    ("plux.bitalino", "bitalino"): _bitalino,
    ("shimmer.shimmer3", "shimmer3_exg"): _shimmer3,
    ("otb.quattrocento", "quattrocento"): _quattrocento,
}
"""By the driver's name and that of the profile."""


def source(driver: str, role: str = "source") -> MakeSource:
    """Return what makes the twin of a source, which has that role.

    Raises
    ------
    InputError
        If that driver has no twin; all that have one are named.
    """
    if driver not in SOURCES:
        raise _no_twin(f"{role}.driver", driver, SOURCES)
    return SOURCES[driver]


def capture(driver: str) -> MakeCapture:
    """Return what makes the twin of a capture; raise `InputError` if that driver has none."""
    if driver not in CAPTURES:
        raise _no_twin("capture.driver", driver, CAPTURES)
    return CAPTURES[driver]


def device(driver: str, profile: str) -> MakePort:
    """Return what makes the twin of a device; raise `InputError` if there is none.

    A profile that is given by the path of its file is somebody's own description: it changes what
    is declared of a device, and not what answers, which is the twin of that name or else the first
    one of the driver.
    """
    is_own = Path(profile).suffix == ".toml"
    name = Path(profile).stem if is_own else profile
    if (driver, name) in DEVICES:
        return DEVICES[driver, name]
    for (known, _), make in DEVICES.items():
        if known == driver and is_own:
            return make
    names = (f"{driver} with {profile}" for driver, profile in DEVICES)
    raise _no_twin("device.driver", f"{driver} with {profile}", names)


def _no_twin(where: str, name: str, known: Iterable[str]) -> InputError:
    return InputError(
        f"a virtual rig has no twin for {name!r}",
        where=where,
        todo=f"use one of: {', '.join(known)}",
    )
