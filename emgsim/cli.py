"""The command line: results on standard output, progress and errors on standard error.

Heavy modules are imported inside the commands that need them, so that ``--help`` stays quick.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter, validators

from emgsim.errors import EmgsimError, InputError, UsageError

app = App(
    name="emgsim",
    help="Hardware-in-the-loop simulator and test bench for electromyography (EMG).",
    help_on_error=False,
    suppress_keyboard_interrupt=False,
    version_flags=["--version"],
)
rig_app = App(name="rig", help="Look at rigs and serve virtual ones.")
app.command(rig_app)

Overrides = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set", negative=(), help="key.path=value in place of the file's; may be given often"
    ),
]
Channels = Annotated[
    tuple[str, ...], Parameter(name="--channel", negative=(), help="its name; may be given often")
]
Scale = Annotated[
    float | None,
    Parameter(
        name="--scale",
        validator=validators.Number(gt=0),
        help="microvolts per unit of a channel that is in no voltage; in a WAV file of full scale",
    ),
]
Seed = Annotated[int, Parameter(validator=validators.Number(gte=0))]
DEBUG = "--debug"


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 pass; 1 a limit failed; 2 wrong use; 3 an input is invalid; 4 instrument or link;
    5 inconclusive or stopped for safety; 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = DEBUG in words
    words = [word for word in words if word != DEBUG]
    try:
        result = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _fail(UsageError(str(error), todo="see `emgsim --help`"), debug)
    except EmgsimError as error:
        return _fail(error, debug)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if debug:
            raise
        what = f"internal error: {type(error).__name__}: {error}"
        return _fail(EmgsimError(what, todo=f"repeat with {DEBUG} and report it"), debug)
    return result if isinstance(result, int) else 0


def console() -> None:
    """Entry point of the ``emgsim`` command."""
    sys.exit(main())


def _fail(error: EmgsimError, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    else:
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", []))
        print(f"error: {error}{notes}", file=sys.stderr)
    return error.exit_code


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"cannot write the file: {error.strerror}", where=str(path), todo="name another place"
        ) from error


def _split(overrides: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the overrides of the scenario and those of the rig (which begin with ``rig.``)."""
    rig = [o.removeprefix("rig.") for o in overrides if o.startswith("rig.")]
    return [o for o in overrides if not o.startswith("rig.")], rig


@app.command
def run(
    scenario: str,
    *,
    rig: str = "virtual",
    seed: Seed | None = None,
    out: Path = Path("reports/runs"),
    detector: str = "emgsim",
    detector_timeout_s: Annotated[float, Parameter(validator=validators.Number(gt=0))] = 600.0,
    visit: str | None = None,
    set_: Overrides = (),
) -> int:
    """Run a scenario on a rig: simulate, play, capture, align, analyse, compare, judge, report.

    An examination is run muscle by muscle, and its findings are concluded.

    Parameters
    ----------
    scenario
        Shipped name or path of a scenario's or of an examination's file.
    rig
        Shipped name or path of a rig file.
    seed
        Takes the place of the scenario's seed.
    out
        Folder in which the run's folder is made.
    detector
        Algorithm under test: emgsim, an installed one (`emgsim list detectors`), or a command that
        reads {recording} and writes {findings}.
    detector_timeout_s
        How long it may take for one path.
    visit
        Name of the visit, of an examination that has several.
    set_
        key.path=value of the scenario; begin with rig. for a value of the rig.
    """
    from emgsim.bench.rig import load_rig
    from emgsim.report.table import measurement_table
    from emgsim.running import run as run_scenario
    from emgsim.scenario import load_scenario

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a way out that closes things
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    of_scenario, of_rig = _split(set_)
    on_rig = load_rig(rig, overrides=of_rig)
    if _is_examination(scenario):
        from emgsim.exam.examination import load_examination
        from emgsim.examining import examine
        from emgsim.report.exam_table import exam_table

        folder, exam = examine(
            load_examination(scenario, overrides=of_scenario).on(visit),
            on_rig,
            out=out,
            seed=seed,
            detector=detector,
            detector_timeout_s=detector_timeout_s,
            progress=_say,
        )
        print(exam_table(exam), end="")
        record = exam.run
    else:
        folder, record = run_scenario(
            load_scenario(scenario, overrides=of_scenario),
            on_rig,
            out=out,
            seed=seed,
            detector=detector,
            detector_timeout_s=detector_timeout_s,
            progress=_say,
        )
        print(measurement_table(record))
    print(f"report: {folder / 'report.html'}")
    return record.exit_code or 0


def _is_examination(name: str) -> bool:
    from emgsim.configuration import read_table
    from emgsim.shipped import find

    return str(read_table(find("scenarios", name)).get("schema")).startswith("emgsim.examination/")


@app.command
def schedule(examination: str, *, paced: bool = False, set_: Overrides = ()) -> int:
    """Print the steps of an examination, muscle by muscle, with their times in seconds.

    Parameters
    ----------
    examination
        Shipped name or path of an examination's file.
    paced
        Print each step when it is over on the wall clock, not all at once.
    set_
        key.path=value of the examination.
    """
    from emgsim.exam.examination import load_examination
    from emgsim.exam.schedule import Step
    from emgsim.examining import tell_steps

    def show(muscle: str, step: Step) -> None:
        print(f"{muscle}  {step.onset_s:8.2f} .. {step.offset_s:8.2f}  {step.name}", flush=True)

    tell_steps(load_examination(examination, overrides=set_), show, is_paced=paced)
    return 0


@app.command
def simulate(
    scenario: str,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    seed: Seed | None = None,
    duration_s: float | None = None,
    rate_hz: float | None = None,
    clean: bool = False,
    fibre_truth: bool = False,
    set_: Overrides = (),
) -> int:
    """Simulate a scenario into an .npz file, with its truth.

    Parameters
    ----------
    scenario
        Shipped name or path of a scenario file.
    output
        File to write, ending in .npz.
    seed
        Takes the place of the scenario's seed.
    duration_s
        Length of the last phase is changed so that the recording is this long.
    rate_hz
        Takes the place of the scenario's sampling rate.
    clean
        Leave out the electrode's thermal noise, and what an amplifier would add: what a rig plays.
    fibre_truth
        Keep each near fibre's arrival and block at each discharge.
    set_
        key.path=value of the scenario.
    """
    from emgsim.files.npz import write_npz
    from emgsim.scenario import load_scenario
    from emgsim.simulation import lasting
    from emgsim.simulation import simulate as simulate_scenario

    if output.suffix != ".npz":
        raise UsageError(f"-o must end in .npz, got {output.name!r}")
    overrides = [*set_, *([f"acquisition.rate_hz={rate_hz}"] if rate_hz is not None else [])]
    loaded = load_scenario(scenario, overrides=overrides)
    if duration_s is not None:
        loaded = lasting(loaded, duration_s)
    recording, truth = simulate_scenario(
        loaded, seed=seed, for_playing=clean, fibre_truth=fibre_truth
    )
    with _writing(output):
        write_npz(output, recording, truth)
    n = sum(unit.discharge_times_s.size for unit in truth.units)
    print(
        f"{output}: {recording.duration_s:g} s at {recording.rate_hz:g} Hz, "
        f"{len(truth.units)} motor units, {n} discharges"
    )
    return 0


@app.command
def analyse(
    recording: Path,
    *,
    plan: Path | None = None,
    channel: Channels = (),
    scale: Scale = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
) -> int:
    """Analyse a recording; print the findings, or write them to a file.

    Parameters
    ----------
    recording
        An .npz, EDF, BDF or WAV file, or the header of a WFDB record.
    plan
        TOML file with an analysis plan; chosen by the recording when it is not given.
    output
        File for the findings, ending in .json.
    """
    from emgsim.analysis.core import analyse as analyse_recording
    from emgsim.analysis.plan import NeedlePlan
    from emgsim.configuration import read_table, validated
    from emgsim.files.findings import findings_table, write_findings
    from emgsim.files.reading import read_recording

    if output is not None and output.suffix != ".json":
        raise UsageError(f"-o must end in .json, got {output.name!r}")
    samples, _ = read_recording(recording, channels=channel, scale_uv_per_unit=scale)
    chosen = validated(NeedlePlan, read_table(plan), str(plan)) if plan else None
    findings = analyse_recording(samples, chosen)
    _say(f"plan: {findings.plan}")
    if output is None:
        print(json.dumps(findings_table(findings)))
        return 0
    with _writing(output):
        write_findings(output, findings)
    n = sum(unit.discharge_times_s.size for unit in findings.units)
    print(f"{output}: {len(findings.units)} motor units, {n} discharges")
    return 0


@app.command
def compare(findings: Path, recording: Path, *, channel: Channels = (), scale: Scale = None) -> int:
    """Compare findings with the truth, or the annotations, that a recording carries.

    Parameters
    ----------
    findings
        findings.json of any analysis.
    recording
        The file that was analysed; it must hold its truth, or annotated discharges.
    """
    from emgsim.files.findings import read_findings
    from emgsim.files.reading import read_recording
    from emgsim.scoring import compare as compare_findings

    samples, truth = read_recording(recording, channels=channel, scale_uv_per_unit=scale)
    if truth is None:
        raise InputError(
            "the recording carries no truth to compare with",
            where=str(recording),
            todo="use a recording made by `emgsim simulate`, or one with annotated discharges",
        )
    print(compare_findings(read_findings(findings), truth, recording=samples))
    return 0


@app.command
def conclude(
    muscle: str,
    findings: Annotated[tuple[Path, ...], Parameter(negative=(), consume_multiple=True)],
    *,
    age_years: Annotated[float, Parameter(validator=validators.Number(gte=0, lte=120))] = 40.0,
    strongest: bool = True,
) -> int:
    """Say what the recordings of one muscle mean: denervation, MUAPs, recruitment, stability.

    Parameters
    ----------
    muscle
        A name of the catalogue: its reference values are compared with.
    findings
        findings.json of each recording of the muscle, as `emgsim analyse` writes them.
    age_years
        Of the patient.
    strongest
        Whether the strongest effort was asked for in one of the recordings.
    """
    from emgsim.analysis.axes import axes_of
    from emgsim.files.findings import read_findings
    from emgsim.references import reference

    if not findings:
        raise UsageError("conclude needs the findings of at least one recording")
    read = [read_findings(path) for path in findings]
    for axis in axes_of(read, reference(muscle), age_years, strongest=strongest):
        reasons = ", ".join(f"{name} {value:.3g}" for name, value in axis.because.items())
        print(f"{axis.axis:<21} {axis.value:<12} {axis.probabilities[axis.value]:.2f}  {reasons}")
    return 0


@app.command
def gallery(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("gallery.html"),
    only: Annotated[tuple[str, ...], Parameter(negative=(), consume_multiple=True)] = (),
    seed: Seed = 1,
) -> int:
    """Draw every kind of activity into one page, each with picture, sound and truth.

    Parameters
    ----------
    output
        File to write, ending in .html.
    only
        Kinds to draw, or ids of single exhibits, in place of all.
    seed
        Of every exhibit.
    """
    from emgsim.gallery import gallery as draw

    if output.suffix != ".html":
        raise UsageError(f"-o must end in .html, got {output.name!r}")
    with _writing(output):
        n = draw(output, only=only, seed=seed, progress=_say)
    print(f"{output}: {n} exhibits")
    return 0


@app.command(name="list")
def list_(
    kind: Literal[
        "scenarios",
        "rigs",
        "devices",
        "drivers",
        "detectors",
        "muscles",
        "electrodes",
        "conditions",
        "activities",
        "artefacts",
    ] = "scenarios",
) -> int:
    """List what is shipped, or what a scenario may name.

    Parameters
    ----------
    kind
        scenarios, rigs, devices, drivers, detectors, muscles or electrodes; or the kinds of
        conditions, of (spontaneous) activities and of artefacts.
    """
    from emgsim import shipped

    match kind:
        case "drivers":
            from emgsim.instruments.drivers import driver_names

            rows = {n: role for role in ("source", "capture", "device") for n in driver_names(role)}
        case "detectors":
            from emgsim.detectors import detector_names

            rows = detector_names()
        case "muscles":
            from emgsim.scenario import muscle_catalogue

            rows = {name: table["nerve"] for name, table in sorted(muscle_catalogue().items())}
        case "electrodes":
            from emgsim.scenario import electrode_catalogue

            rows = {name: table["kind"] for name, table in electrode_catalogue().items()}
        case "conditions" | "activities" | "artefacts":
            from emgsim.scenario import kinds

            rows = kinds(kind)
        case _:
            folder: shipped.Kind = "rigs/devices" if kind == "devices" else kind
            rows = {n: _title(shipped.find(folder, n)) for n in shipped.names(folder)}
    for name, words in rows.items():
        print(f"{name:<28} {words}")
    return 0


def _title(path: Path) -> str:
    from emgsim.configuration import read_table

    table = read_table(path)
    return str(table.get("title") or table.get("group") or "")


@rig_app.command(name="list")
def rig_list() -> int:
    """List the shipped rigs."""
    return list_("rigs")


@rig_app.command(name="check")
def rig_check(rig: str = "virtual", *, set_: Overrides = ()) -> int:
    """Open a rig and show who answers; nothing is driven.

    Parameters
    ----------
    rig
        Shipped name or path of a rig file.
    set_
        key.path=value of the rig.
    """
    from emgsim.bench.rig import load_rig
    from emgsim.bench.station import open_station

    with open_station(load_rig(rig, overrides=set_), seed=0) as station:
        for role, identity in station.identities.items():
            print(f"{role:<8} {identity}")
        caps = station.source_caps
        print(f"{'':<8} source memory {caps.max_points} points, {caps.max_vpp_open_v:g} Vpp")
    print("all answer; the output is off")
    return 0


@rig_app.command(name="serve")
def rig_serve(rig: str = "virtual", *, seed: Seed = 0, set_: Overrides = ()) -> int:
    """Serve a virtual rig for other people's software until SIGINT or SIGTERM.

    Prints one VISA address or serial device per line: source, capture, device.

    Parameters
    ----------
    rig
        Shipped name or path of a virtual rig file.
    seed
        Seed of the noise and of the converters' phases.
    set_
        key.path=value of the rig.
    """
    from emgsim.bench.rig import load_rig
    from emgsim.bench.served import ServedRig

    loaded = load_rig(rig, overrides=set_)
    if loaded.kind != "virtual":
        raise UsageError(f"only virtual rigs can be served, {loaded.id} is {loaded.kind!r}")
    # A handler and not sigwait: threads of numpy's libraries have not blocked the signals.
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with ServedRig(loaded, seed) as served:
        for role in ("source", "capture", "device"):
            print(served.addresses[role], flush=True)
        ended.wait()
    return 0
