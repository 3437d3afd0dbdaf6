"""The table of drivers, and entry points of other packages."""

import ast
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from emgsim.errors import InputError
from emgsim.instruments import base, drivers


def members(protocol):
    """Return the names of a protocol's members."""
    return {name for name in vars(protocol) if not name.startswith("_")} | {"api", "open"}


Foreign = type("Foreign", (), dict.fromkeys(members(base.Source)) | {"api": 1})  # somebody else's
Halfway = type("Halfway", (), dict.fromkeys(members(base.Source) - {"reset"}) | {"api": 1})


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


ALL_OF_OURS = [(role, name) for role, table in drivers.OURS.items() for name in table]


@pytest.mark.parametrize(("role", "name"), ALL_OF_OURS)
def test_each_driver_has_all_that_its_protocol_has(role, name):
    """A driver of ours is found by name and lacks no member of its protocol."""
    driver = drivers.load(role, name)
    assert driver.api == base.API
    assert [m for m in members(drivers.PROTOCOLS[role]) if not hasattr(driver, m)] == []
    assert callable(driver.open)
    assert name in drivers.driver_names(role)


def imported_names(folders):
    """Return the (package, name) pairs that tests use: from p import n, or p.n after import p."""
    found = set()
    for path in (path for folder in folders for path in folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                package = node.module.partition(".")[0].lower()
                found.update((package, alias.name) for alias in node.names)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                found.add((node.value.id.lower(), node.attr))
    return found


@pytest.mark.parametrize(("role", "name"), ALL_OF_OURS)
def test_what_has_confirmed_a_twin_is_imported_by_a_test(role, name):
    """A package of other people and a name in it; without such a test the label is unproven."""
    proof = drivers.proof(role, name)
    if proof == drivers.UNPROVEN:
        return
    package, client = proof.split()
    tests = Path(__file__).parents[1]
    assert package.lower() not in {"emgsim", "tests"}
    assert (package.lower(), client) in imported_names([tests, tests.parent / "clients"])


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
    assert {"foreign", "keysight.33500"} <= set(drivers.driver_names("source"))
    assert drivers.proof("source", "foreign") == "unproven"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("another_package:Outdated", "class with api = 1"),
        ("another_package:pytest", "class with api = 1"),
        ("another_package:Halfway", "must have all that its protocol has; Halfway lacks reset"),
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
