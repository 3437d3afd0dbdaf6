"""Commands that work on recordings and findings, without any rig."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from emgsim.cli.base import Channels, Overrides, Scale, Seed, say, writing
from emgsim.errors import InputError, UsageError


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
    with writing(output):
        write_npz(output, recording, truth)
    n = sum(unit.discharge_times_s.size for unit in truth.units)
    print(
        f"{output}: {recording.duration_s:g} s at {recording.rate_hz:g} Hz, "
        f"{len(truth.units)} motor units, {n} discharges"
    )
    return 0


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
    from emgsim.analysis.plan import plan_kind
    from emgsim.configuration import read_table, validated
    from emgsim.files.findings import findings_table, write_findings
    from emgsim.files.reading import read_recording

    if output is not None and output.suffix != ".json":
        raise UsageError(f"-o must end in .json, got {output.name!r}")
    samples, _ = read_recording(recording, channels=channel, scale_uv_per_unit=scale)
    chosen = None
    if plan is not None:
        table = read_table(plan)
        chosen = validated(plan_kind(table), table, str(plan))
    findings = analyse_recording(samples, chosen)
    say(f"plan: {findings.plan}")
    if output is None:
        print(json.dumps(findings_table(findings)))
        return 0
    with writing(output):
        write_findings(output, findings)
    n = sum(unit.discharge_times_s.size for unit in findings.units)
    print(f"{output}: {len(findings.units)} motor units, {n} discharges")
    return 0


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
    with writing(output):
        n = draw(output, only=only, seed=seed, progress=say)
    print(f"{output}: {n} exhibits")
    return 0
