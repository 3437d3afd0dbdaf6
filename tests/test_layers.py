"""Which room may import which, read from the source with ``ast``, and what an import may load.

The table is design.md's drawing of the rooms, from the pure rules at the bottom to the command
line on top. A room may import what its row names, and itself; nothing else of this package.
"""

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "emgsim"
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
)

PURE = {"errors", "johnson", "seeds", "recording", "verdict"}
READING = {"configuration", "shipped"}  # files of our own, read into checked tables
# parameter models without any code
PLANS = {"analysis.plan", "artefacts.parameters", "physiology.parameters"}

ALLOWED: dict[str, set[str]] = {
    # data and pure rules
    "errors": set(),
    "johnson": set(),
    "seeds": set(),
    "recording": set(),
    "verdict": set(),
    # pure, arrays in and arrays out
    "stages": PURE,
    "measures": PURE,
    "estimators": PURE,
    "align": PURE | {"stages"},
    # siblings: none imports another
    "physiology": PURE | {"stages", "measures"},
    "artefacts": PURE | {"stages"},
    "analysis": PURE | {"stages", "measures", "align", "estimators", "configuration"},
    "plant": PURE | {"stages"},
    "files": PURE,
    "instruments": PURE,
    "catalogue": set(),
    "configuration": {"errors"},
    "shipped": {"errors", "configuration"},
    # on top of them
    "references": PURE | READING | {"analysis.comparison"},
    "localisation": {"errors", "recording"} | READING,
    "scenario": PURE | READING | PLANS,
    "exam": PURE | READING | {"scenario"} | PLANS,
    "placing": PURE | {"scenario", "physiology"},
    "simulation": PURE | {"stages", "scenario", "placing", "physiology", "artefacts"},
    "scoring": PURE | {"stages", "measures", "align", "estimators"},
    "virtual": PURE | {"plant"},
    # A rig file holds the physics of a virtual rig, and the bench speaks to drivers by protocol:
    # the bench stands above plant and instruments, neither of which knows of it.
    "bench": PURE | READING | {"stages", "align", "instruments", "plant.faults",
                                "plant.physics"},
    # The journal is on the disk; the record is what it folds to. They know no other room.
    "records": PURE,
    # What the chain did is computed from arrays: it knows programs and profiles, and opens nothing.
    "chain": PURE | {"stages", "align", "bench.budget", "bench.program", "diagnosis",
                     "instruments.profiles"},
    # A test knows what is declared of a bench, plays and listens; who does it is a protocol.
    "metrology": PURE | READING | {"stages", "measures", "align", "estimators", "bench.budget",
                         "bench.program", "instruments.profiles"},
    # The plant as a bench: what a station does over wires, with the same points and codes.
    "in_process": PURE | {"bench.levels", "bench.program", "instruments.generator_waveforms",
                          "metrology", "plant"},
    # Whatever went wrong is told from arrays alone: it knows neither rig files nor plant.
    "diagnosis": PURE | {"stages", "align"},
    # It starts processes, and tells them files: no analysis, no truth.
    "detectors": PURE | {"files"},
    # The one room that joins simulation, bench, analysis, verdict and report.
    "running": PURE | READING | {"stages", "align", "analysis", "bench", "chain", "concluding",
                                 "detectors", "diagnosis", "estimators", "exam", "files",
                                 "findings_table", "instruments.base", "metrology", "observer",
                                 "records", "report", "scenario", "scoring", "simulation"},
    # What an examination's findings mean: pure rules on findings, and for the truth on its samples.
    "findings_table": PURE | {"analysis"},
    "observer": PURE | {"analysis", "scoring"},
    "concluding": PURE | {"analysis", "exam", "findings_table", "localisation", "records",
                          "references"},
    "report": PURE | {"files", "records", "align", "stages", "scoring"},
    # Baselines are files; whether a measurement has changed is arithmetic.
    "regression": PURE | READING | {"records"},
    "follow_up": PURE | READING | {"analysis"},
    # The gallery joins catalogue, simulation and page.
    "exhibits": PURE | READING | {"scenario"},
    "gallery": PURE | {"exhibits", "scenario", "simulation", "report"},
    "testing": PURE | {"physiology.parameters", "scenario"},
    # Above the runs: it makes them, and pools what they say.
    "campaigns": PURE | READING | {"bench", "detectors", "exam", "files", "measures", "records",
                                   "report", "running", "scenario", "scoring"},
    # Sets of recordings: simulated, played in process, written; nothing of a run or of a wire.
    "dataset": PURE | READING | {"analysis.interference", "artefacts", "bench.levels",
                                 "bench.program", "bench.rig", "exam", "files", "instruments.base",
                                 "instruments.generator_waveforms", "physiology", "placing",
                                 "plant", "records", "scenario", "simulation"},
    "cli": PURE | READING | {"analysis", "bench", "campaigns", "dataset", "detectors", "exam",
                             "files", "gallery", "instruments.drivers", "records", "references",
                             "regression", "report", "running", "scenario", "schemas", "scoring",
                             "simulation"},
    # The published forms of the files: of each room's own model.
    "schemas": PURE | {"bench", "campaigns", "dataset", "exam", "files", "instruments.profiles",
                       "records", "regression", "scenario"},
    # pytest's side of the command line.
    "pytest_plugin": PURE | {"bench", "detectors", "exam", "records", "regression", "running",
                             "scenario", "simulation"},
    "__main__": {"cli"},
    "__init__": {"errors", "recording", "analysis", "bench", "files", "running", "scenario",
                 "scoring", "simulation"},
}

# What touches a disk, a wire, a process or a clock has no business in a pure room.
OUTSIDE_WORLD = {
    "asyncio", "fcntl", "io", "logging", "multiprocessing", "os", "pathlib", "pickle", "pty",
    "pyvisa", "select", "serial", "shutil", "signal", "socket", "sqlite3", "subprocess", "sys",
    "tempfile", "termios", "threading", "time", "datetime", "tty", "urllib", "http",
}
PURE_ROOMS = {"errors", "johnson", "seeds", "recording", "verdict", "stages", "measures",
              "estimators", "align", "diagnosis", "physiology", "artefacts", "analysis", "plant",
              "simulation", "scoring"}
HEAVY = ("numpy", "scipy", "numba", "pyvisa", "serial", "matplotlib", "simpy", "jinja2")


def room_of(module: str) -> str:
    """Return the room of ``emgsim.room.module``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


@cache
def imports(module: str) -> tuple[str, ...]:
    """Return the absolute names of all that a module imports, anywhere in its text."""
    path = PACKAGE.parent / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}, line {node.lineno}: write the whole name"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(found)


def forbidden(module: str) -> list[str]:
    """Return what a module imports of this package and may not."""
    room = room_of(module)
    allowed = {f"emgsim.{name}" for name in ALLOWED.get(room, set()) | {room}}
    return [
        name for name in imports(module) if name.split(".")[0] == "emgsim"
        and not any(name == ok or name.startswith(f"{ok}.") for ok in allowed)
    ]


def tops(module: str) -> set[str]:
    """Return the top-level packages that a module imports."""
    return {name.split(".")[0] for name in imports(module)}


def test_every_room_stands_in_the_table():
    """A new room begins with its row: what it may import."""
    rooms = {room_of(module) for module in MODULES}
    assert rooms <= set(ALLOWED), f"no row for {sorted(rooms - set(ALLOWED))}"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_room_may(module):
    """The arrows of design.md, one way only."""
    assert not forbidden(module), f"{module} may not import {', '.join(forbidden(module))}"


def test_the_table_has_no_circle():
    """Every room can be built before those that import it."""
    left = {room: {name.split(".")[0] for name in names} - {room}
            for room, names in ALLOWED.items()}
    while ready := {room for room, names in left.items() if not names & set(left)}:
        left = {room: names for room, names in left.items() if room not in ready}
    assert not left, f"in a circle: {sorted(left)}"


@pytest.mark.parametrize("module", [m for m in MODULES if room_of(m) in PURE_ROOMS])
def test_a_pure_room_touches_nothing_outside(module):
    """No file, wire, process, thread or clock: arrays and values in, arrays and values out."""
    assert not tops(module) & OUTSIDE_WORLD


@pytest.mark.parametrize(("library", "rooms"), [
    ("pyvisa", "instruments"), ("serial", "instruments"), ("cyclopts", "cli"),
    ("simpy", "plant exam"), ("jinja2", "report"), ("matplotlib", "report"),
    ("hypothesis", "testing"), ("zarr", "dataset"), ("pynwb", "dataset"),
])
def test_a_library_lives_in_its_rooms(library, rooms):
    """What only one room needs, only that room imports."""
    users = {module for module in MODULES if library in tops(module)}
    assert {room_of(module) for module in users} <= set(rooms.split()), users


def test_twin_and_driver_never_meet():
    """The virtual instruments and the drivers share no table, encoder or import."""
    for module in MODULES:
        for one, other in (("virtual", "instruments"), ("instruments", "virtual")):
            if room_of(module) == one:
                assert not [name for name in imports(module) if f"emgsim.{other}" in name], module


def test_the_analysis_cannot_see_the_truth():
    """No class that holds truth is so much as named in the analysis."""
    hidden = {"Truth", "MotorUnit", "Scenario", "simulate"}
    for module in MODULES:
        if room_of(module) == "analysis":
            assert not {name.split(".")[-1] for name in imports(module)} & hidden, module


@pytest.mark.parametrize("room", ["plant", "virtual", "instruments", "bench"])
def test_the_bench_side_knows_no_physiology(room):
    """Source, wire and device see volts and codes, whatever muscle they came from."""
    for module in MODULES:
        if room_of(module) == room:
            assert not [n for n in imports(module)
                        if n.startswith(("emgsim.physiology", "emgsim.scenario"))], module


def run_python(code: str, *arguments: str) -> str:
    """Run code in a fresh interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments], capture_output=True, text=True,
        timeout=60, check=False, env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_nothing_heavy():
    """The root is lazy: not even numpy comes with ``import emgsim``."""
    code = f"import sys, emgsim; print([m for m in {HEAVY} if m in sys.modules])"
    assert run_python(code).strip() == "[]"


@pytest.mark.parametrize("words", ["--help", "run --help", "rig --help", "list rigs", "nonsense"])
def test_help_loads_nothing_heavy(words):
    """Help and small mistakes answer at once."""
    code = (
        "import contextlib, io, sys\n"
        "from emgsim.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):"
        f"\n    main({words.split()})\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert run_python(code).strip() == "[]"


# The honest rule: only the modules that open a link import pyvisa or pyserial. The bench names
# drivers, and `instruments.drivers` imports one when a rig is opened, so everything else, bench
# and command line included, is importable where neither library is installed.
OPENS_A_LINK = {
    "emgsim.instruments.transport", "emgsim.instruments.visa_session",
    "emgsim.instruments.serial_frames",
    "emgsim.instruments.keysight_33500", "emgsim.instruments.keysight_infiniivision",
    "emgsim.instruments.numato_relays", "emgsim.instruments.serial_port",
    "emgsim.instruments.serial_stream", "emgsim.instruments.bitalino",
    "emgsim.instruments.shimmer3", "emgsim.instruments.siglent_sds",
    "emgsim.instruments.siglent_sdg", "emgsim.instruments.tektronix_afg",
    "emgsim.instruments.rigol_dg", "emgsim.instruments.scpi_generator",
    "emgsim.instruments.scpi_instrument", "emgsim.instruments.quattrocento",
}


def test_all_but_the_links_import_without_pyvisa_and_pyserial():
    """With both names blocked every module imports, except those that open a link."""
    code = (
        "import importlib, sys\n"
        "sys.modules['pyvisa'] = sys.modules['serial'] = None\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except ImportError as error:\n"
        "        print(name, error)\n"
    )
    names = [m for m in MODULES if not m.endswith("__main__")]
    failed = {line.split()[0] for line in run_python(code, *names).splitlines()}
    assert failed == OPENS_A_LINK & set(names)


def test_the_check_sees_a_forbidden_import(monkeypatch):
    """The rule is tested itself: planted imports are found, in all their spellings."""
    module = sys.modules[__name__]
    for planted, is_bad in {
        "emgsim.physiology.pool.recruit": True, "emgsim.simulation.simulate": True,
        "emgsim.physiology": True, "emgsim.running.run": True, "emgsim.recording.Truth": False,
        "emgsim.analysis.plan.NeedlePlan": False, "emgsim.analysis": False, "numpy": False,
        "emgsim.recordings": True, "emgsim": True,
    }.items():
        monkeypatch.setattr(module, "imports", lambda _, name=planted: (name,))
        assert bool(forbidden("emgsim.analysis.core")) is is_bad, planted
