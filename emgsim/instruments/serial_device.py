"""What all devices on serial ports have alike: a profile, and the way in and out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Self

from emgsim.errors import LinkError
from emgsim.instruments.base import API, Identity
from emgsim.instruments.profiles import DeviceProfile, load_profile


def known_profile(profile: str | Path | DeviceProfile) -> DeviceProfile:
    """Return a profile that is given itself, or by its name or file."""
    return profile if isinstance(profile, DeviceProfile) else load_profile(profile)


class SerialDevice(ABC):
    """Knows the profile of a device; the protocol is a subclass.

    Leaving the context stops the stream and gives the port back.
    """

    api: ClassVar[int] = API

    def __init__(self, profile: DeviceProfile) -> None:
        self._profile = profile

    @property
    def profile(self) -> DeviceProfile:
        """Tell what is known about the device."""
        return self._profile

    @property
    def rate_hz(self) -> float:
        """Tell the nominal sampling rate."""
        return self._profile.rate_hz

    @property
    def scale_uv_per_count(self) -> float:
        """Tell the size of one code at the electrode."""
        return self._profile.scale_uv_per_count

    @abstractmethod
    def identify(self) -> Identity:
        """Ask who answers, and refuse a device that is not the one of the profile."""

    @abstractmethod
    def stop(self) -> None:
        """Stop streaming, discard what was not read, and wait until the line is silent."""

    @abstractmethod
    def close(self) -> None:
        """Give the port back; closing twice is allowed."""

    def _checked(self) -> Self:
        """Return the device when it is the right one, stopped; else its port is given back."""
        try:
            self.stop()
            self.identify()
        except BaseException:
            self.close()
            raise
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            with suppress(LinkError):  # a device that hung up streams no more
                self.stop()
        finally:
            self.close()
