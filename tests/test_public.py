"""What the public may rely on, held against a snapshot: names, signatures, commands, schemas.

When a change is meant, write it into the changelog, then approve it with::

    EMGSIM_APPROVE=1 pytest tests/test_public.py

and commit ``tests/snapshots`` with it.
"""

import difflib
import inspect
import json
import os
import re
from pathlib import Path

import pytest

import emgsim

SNAPSHOTS = Path(__file__).parent / "snapshots"
APPROVE = "EMGSIM_APPROVE"
HOW = (f"If this change of the public interface is meant, write it into CHANGELOG.md and approve "
       f"it with `{APPROVE}=1 pytest tests/test_public.py`; else undo it.")


def signature(thing) -> str:
    """Return a signature without the addresses of default functions."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(thing)))


def signatures() -> dict[str, str]:
    """Return each public name with its signature, and the methods and properties of classes."""
    found = {}
    for name in emgsim.__all__:
        thing = getattr(emgsim, name)
        found[name] = f"{'class ' if inspect.isclass(thing) else ''}{signature(thing)}"
        for key, member in vars(thing).items() if inspect.isclass(thing) else ():
            if key.startswith("_"):
                continue
            if inspect.isfunction(member):
                found[f"{name}.{key}"] = signature(member)
            elif isinstance(member, property):
                found[f"{name}.{key}"] = f"-> {inspect.signature(member.fget).return_annotation}"
    return found


def commands() -> dict[str, list[str]]:
    """Return each command with its options, as the command line knows them."""
    from emgsim.cli import app, campaigns, dataset, golden, rigs, runs

    def options(command) -> list[str]:
        arguments = command.assemble_argument_collection()
        return sorted(" ".join(argument.names) for argument in arguments)

    found = {}
    groups = {"rig": rigs.app, "runs": runs.app, "golden": golden.app,
              "campaign": campaigns.app, "dataset": dataset.app}
    for prefix, parent in [("", app), *((f"{name} ", group) for name, group in groups.items())]:
        for name in parent:
            if not name.startswith("-") and name not in groups:
                found[prefix + name] = options(parent[name])
    return found


def schema(name: str) -> dict:
    """Return the JSON schema of a file, without its prose."""
    from emgsim.bench.rig import Rig
    from emgsim.instruments.profiles import DeviceProfile
    from emgsim.scenario import Scenario

    table = {"scenario": Scenario, "rig": Rig, "device": DeviceProfile}[name].model_json_schema()
    return without_prose(table)


def without_prose(value):
    """Leave descriptions and titles out: words may be mended without asking."""
    if isinstance(value, list):
        return [without_prose(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: without_prose(item) for key, item in value.items()
            if not (key in ("description", "title") and isinstance(item, str))}


def record_fields() -> dict[str, str]:
    """Return the fields of ``record.json`` with their types."""
    from emgsim.records.record import RunRecord
    from emgsim.verdict import Limit, Measurement

    return {f"{kind.__name__}.{name}": str(field.type) for kind in (RunRecord, Measurement, Limit)
            for name, field in kind.__dataclass_fields__.items()}


def exit_codes() -> dict[str, int]:
    """Return the exit code of every error class."""
    from emgsim import errors

    return {name: thing.exit_code for name, thing in vars(errors).items()
            if inspect.isclass(thing) and issubclass(thing, errors.EmgsimError)}


MAKERS = {
    "signatures": signatures,
    "commands": commands,
    "scenario": lambda: schema("scenario"),
    "rig": lambda: schema("rig"),
    "device": lambda: schema("device"),
    "record": record_fields,
    "exit_codes": exit_codes,
}


@pytest.mark.parametrize("name", MAKERS)
def test_the_public_interface_is_the_approved_one(name):
    """A change of a name, a signature, an option or a key must be approved by a person."""
    now = json.dumps(MAKERS[name](), indent=1, sort_keys=True) + "\n"
    path = SNAPSHOTS / f"{name}.json"
    if os.environ.get(APPROVE):
        path.parent.mkdir(exist_ok=True)
        path.write_text(now, "utf-8")
    then = path.read_text("utf-8") if path.is_file() else ""
    changes = difflib.unified_diff(
        then.splitlines(), now.splitlines(), "approved", "now", n=1, lineterm="")
    if now != then:
        pytest.fail("\n".join([HOW, *changes]), pytrace=False)


def test_no_snapshot_is_left_over():
    """A snapshot without a maker guards nothing."""
    assert {path.stem for path in SNAPSHOTS.glob("*.json")} <= set(MAKERS)


def test_every_public_name_can_be_had_and_is_documented():
    """The lazy root gives each name, and each says what it does."""
    assert sorted(emgsim.__all__) == list(emgsim.__all__) == dir(emgsim)
    for name in emgsim.__all__:
        assert (getattr(emgsim, name).__doc__ or "").strip(), f"{name} has no docstring"


def test_a_name_that_is_not_public_is_an_attribute_error():
    """A typing mistake reads as usual, and tools that probe for names are not fooled."""
    with pytest.raises(AttributeError, match="module 'emgsim' has no attribute 'simulat'"):
        _ = emgsim.simulat
    assert not hasattr(emgsim, "__path_of_no_one__")


def test_no_module_takes_the_name_of_a_public_function():
    """A submodule of that name would shadow the function once it is imported."""
    package = Path(emgsim.__file__).parent
    taken = {path.stem for path in package.iterdir()} & set(emgsim.__all__)
    assert not taken


def test_every_error_carries_its_exit_code_and_reads_thing_place_advice():
    """The message has the mistake first, then where it is, then what to do."""
    from emgsim import errors

    assert exit_codes() == {
        "EmgsimError": 1, "UsageError": 2, "InputError": 3, "InstrumentError": 4, "LinkError": 4,
        "SafetyError": 5, "NotAnalysableError": 5,
    }
    for name in exit_codes():
        error = getattr(errors, name)("the thing", where="the place", todo="the advice")
        assert str(error) == "the thing\n  where: the place\n  to do: the advice"
        assert str(getattr(errors, name)("alone")) == "alone"
        assert isinstance(error, emgsim.EmgsimError)
        assert f"{name} " in (errors.__doc__ or "")
