"""The table of drivers, and entry points of other packages."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from emgsim.errors import InputError
from emgsim.instruments import base, drivers


class Foreign:
    """Stands for the driver of another package."""

    api = 1


class Outdated:
    """Stands for a driver of another version."""

    api = 0


@pytest.fixture
def offered(monkeypatch):
    """Let another package offer drivers."""

    def offer(**values):
        entries = [EntryPoint(name, value, "emgsim.sources") for name, value in values.items()]
        monkeypatch.setattr(
            drivers, "entry_points", lambda *, group: entries * (group == "emgsim.sources")
        )
        monkeypatch.setitem(sys.modules, "another_package", sys.modules[__name__])

    return offer


@pytest.mark.parametrize(
    ("role", "name", "protocol"),
    [
        ("source", "keysight.33500", base.Source),
        ("capture", "keysight.infiniivision", base.Capture),
        ("device", "serial.frames", base.Device),
        ("switch", "numato.relays", base.Switch),
    ],
)
def test_each_driver_has_all_that_its_protocol_has(role, name, protocol):
    """A driver of ours is found by name and lacks no member of its protocol."""
    driver = drivers.load(role, name)
    members = {m for m in vars(protocol) if not m.startswith("_")} | {"api"}
    assert driver.api == base.API
    assert sorted(m for m in members if not hasattr(driver, m)) == []
    assert callable(driver.open)
    assert drivers.driver_names(role) == (name,)


def test_an_unknown_name_is_answered_with_the_nearest():
    """A slip of the finger gets a proposal and the whole list."""
    with pytest.raises(InputError, match=r"'keysight.33600'; did you mean 'keysight.33500'") as e:
        drivers.load("source", "keysight.33600")
    assert "keysight.33500" in e.value.todo


def test_a_driver_is_looked_for_in_its_own_role_only():
    """A capture's name is unknown among sources."""
    with pytest.raises(InputError, match="no source driver"):
        drivers.load("source", "keysight.infiniivision")


def test_another_package_can_add_a_driver(offered):
    """An entry point is listed and loaded."""
    offered(foreign="another_package:Foreign")
    assert drivers.load("source", "foreign") is Foreign
    assert drivers.driver_names("source") == ("foreign", "keysight.33500")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("another_package:Outdated", "class with api = 1"),
        ("another_package:pytest", "class with api = 1"),
        ("another_package:Missing", "cannot be imported"),
        ("no_such_package:X", "cannot be imported"),
    ],
)
def test_a_foreign_driver_that_cannot_be_used_is_told(offered, value, told):
    """Wrong version, no class, no module: each is an input error that names the entry point."""
    offered(foreign=value)
    with pytest.raises(InputError, match=told) as e:
        drivers.load("source", "foreign")
    assert value in e.value.where


def test_our_names_cannot_be_taken_over(offered):
    """An entry point with the name of a driver of ours changes nothing."""
    offered(**{"keysight.33500": "another_package:Foreign"})
    assert drivers.load("source", "keysight.33500").__name__ == "Keysight33500"


def test_the_table_and_the_protocols_import_no_instrument_library():
    """PyVISA and pyserial are loaded with the first driver, not before."""
    code = (
        "import sys, emgsim.instruments.drivers, emgsim.instruments.base;"
        "print([m for m in ('pyvisa', 'serial') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
