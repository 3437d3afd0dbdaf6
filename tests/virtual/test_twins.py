"""Which twin answers which driver and profile."""

import pytest

from emgsim.errors import InputError
from emgsim.virtual import twins


@pytest.mark.parametrize(
    ("profile", "name"),
    [
        ("na1", "na1"),
        ("na4", "na4"),
        ("cyton", "cyton"),
        ("/lab/cyton.toml", "cyton"),
        ("/lab/mine.toml", "na1"),
    ],
)
def test_a_profile_chooses_the_twin_by_its_name(profile: str, name: str) -> None:
    """Somebody's own description of a device that has no twin is answered by the first one."""
    assert twins.device("serial.frames", profile) is twins.DEVICES["serial.frames", name]


@pytest.mark.parametrize("profile", ["mine", "", "NA1"])
def test_a_profile_without_a_twin_is_refused_with_the_list(profile: str) -> None:
    """A name that is none is no description of one's own."""
    with pytest.raises(InputError, match=r"no twin for 'serial\.frames with") as told:
        twins.device("serial.frames", profile)
    assert "serial.frames with na1" in told.value.todo
    assert told.value.where == "device.driver"


def test_every_driver_of_a_source_and_a_capture_is_found_by_its_name() -> None:
    """Another name is refused with all that there are."""
    for driver, make in twins.SOURCES.items():
        assert twins.source(driver) is make
    for driver, make in twins.CAPTURES.items():
        assert twins.capture(driver) is make
    with pytest.raises(InputError) as told:
        twins.source("keysight")
    assert told.value.todo == f"use one of: {', '.join(twins.SOURCES)}"
