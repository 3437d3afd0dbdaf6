"""Opening a rig: every instrument identified, the source guarded, all closed in reverse order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from emgsim.bench.arming import permit
from emgsim.bench.guarded_source import GuardedSource
from emgsim.bench.rig import Rig
from emgsim.bench.served import ServedRig
from emgsim.instruments.base import Capture, Device, Identity, SourceCaps
from emgsim.instruments.drivers import load as load_driver
from emgsim.instruments.profiles import DeviceProfile


@dataclass(frozen=True)
class Station:
    """An opened rig."""

    rig: Rig
    source: GuardedSource
    source_caps: SourceCaps
    capture: Capture
    device: Device
    profile: DeviceProfile
    identities: dict[str, Identity]


def device_profile(rig: Rig) -> DeviceProfile:
    """Return the data sheet of the rig's device."""
    return rig.profile


def refuse_unarmed(rig: Rig) -> None:
    """Refuse a real rig that nobody vouches for, before anything is done for it.

    Raises
    ------
    SafetyError
        If it is not armed.
    """
    permit(rig)


@contextmanager
def open_station(rig: Rig, seed: int) -> Iterator[Station]:
    """Open a rig, and leave its output off and its ports closed on every way out.

    A virtual rig is started for it; a real one would have to be armed by a person first.

    Raises
    ------
    SafetyError
        If the rig is a real one: this version cannot arm.
    LinkError, InstrumentError
        If an instrument does not answer or is not the one that the rig file names.
    """
    allowed = permit(rig)
    profile = device_profile(rig)
    with ExitStack() as stack:
        served = stack.enter_context(ServedRig(rig, seed))
        address = served.addresses
        source = stack.enter_context(
            load_driver("source", rig.source.driver).open(
                address["source"], timeout_s=rig.link_timeout_s
            )
        )
        guarded = stack.enter_context(GuardedSource(source, rig, allowed))
        capture = stack.enter_context(
            load_driver("capture", rig.capture.driver).open(
                address["capture"], timeout_s=rig.link_timeout_s
            )
        )
        device = stack.enter_context(
            load_driver("device", rig.device.driver).open(
                address["device"], profile=profile, timeout_s=rig.link_timeout_s
            )
        )
        identities = {
            "source": guarded.identify(),
            "capture": capture.identify(),
            "device": device.identify(),
        }
        yield Station(rig, guarded, source.caps, capture, device, profile, identities)
