"""Commands on rigs: look at them, foresee a playback, vouch for one, serve a virtual one."""

from __future__ import annotations

import json
import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from emgsim.cli.base import Overrides, Seed, is_examination, say, split
from emgsim.errors import SafetyError, UsageError

if TYPE_CHECKING:
    from emgsim.bench.roll_call import Answer
    from emgsim.bench.station import Station
    from emgsim.verdict import Measurement

WRONG_STATE = 4
REFUSED = INCONCLUSIVE = 5

app = App(name="rig", help="Look at rigs, foresee what they would do, and serve virtual ones.")


@app.command(name="list")
def rig_list() -> int:
    """List the shipped rigs, and the drivers by role with what has confirmed their twins.

    A driver whose twin no client of other people has confirmed is labelled unproven.
    """
    from emgsim.cli.shipped import list_

    list_("rigs")
    print("\ndrivers, their role, and the client that has confirmed their twin:")
    return list_("drivers")


@app.command(name="check")
def rig_check(
    rig: str = "virtual",
    *,
    states: Annotated[bool, Parameter(negative=())] = False,
    set_: Overrides = (),
) -> int:
    """Show who answers for each role; if all are who is meant, let the bench test itself.

    The divider is proved by a harmless sine; then a short program is looked at by the oscilloscope
    and by the device: with each generator in turn. Where something is not as the rig file says, the
    exit code is 5. Where a role does not answer, or another instrument does than the rig file
    means, the others are still listed, nothing is driven, and the exit code is 4.

    Parameters
    ----------
    rig
        Shipped name or path of a rig file.
    states
        Bring the fixture into each of its states, too, and look whether it is there; an operator is
        asked. Where it is not, the exit code is 4.
    set_
        key.path=value of the rig.
    """
    from emgsim.bench.rig import load_rig
    from emgsim.bench.station import open_station

    with open_station(load_rig(rig, overrides=set_), seed=0, told=_show) as station:
        found, told = station.identities["device"].firmware, station.profile.firmware
        if told not in ("", found):
            print(f"{'':<8} the device's profile is of firmware {told}, not of {found}")
        tested = [one for k in range(station.rig.n_sources) for one in _self_tested(station.of(k))]
        is_well = not states or _check_states(station)
    print("all answer; the output is off")
    if not is_well:
        return WRONG_STATE
    return INCONCLUSIVE if any(one.verdict == "inconclusive" for one in tested) else 0


def _show(answer: Answer) -> None:
    """Print who answers for a role, or why nobody does."""
    who = answer.identity
    found = answer.trouble.what if who is None and answer.trouble is not None else str(who)
    print(f"{answer.role:<8} {answer.driver} at {answer.address}: {found}; {answer.verdict}",
          flush=True)  # fmt: skip


def _self_tested(station: Station) -> tuple[Measurement, ...]:
    """Let the bench test itself with one generator, and print what it finds."""
    from emgsim.running.self_test import self_test

    caps, name = station.source_caps, station.source.role.replace("_", " ")
    print(f"{'':<8} {name} memory {caps.max_points} points, {caps.max_vpp_open_v:g} Vpp")
    tested = self_test(station)
    print(f"{'':<8} divider ratio {station.prove_divider():.6g}")
    for one in tested:
        unit = "" if one.unit == "1" else f" {one.unit}"
        print(
            f"{'test':<8} {one.id.removeprefix('self_test.')} {one.value:.4g}{unit}, "
            f"must be {one.limit}: {one.verdict}"
        )
    return tested


def _check_states(station: Station) -> bool:
    """Bring the fixture into each of its states, look, and tell whether all is well."""
    from datetime import date

    from emgsim.bench.fixture import StateUnavailableError
    from emgsim.bench.rig import THROUGH
    from emgsim.errors import InstrumentError
    from emgsim.running.declaring import setup_of
    from emgsim.running.fixture_check import CheckedFixture

    setup = setup_of(station.rig, station.source_caps, date.today())
    fixture, is_well = CheckedFixture(station, setup), True
    for name in (*station.rig.fixture.states, THROUGH):
        try:
            fixture.into(name)
        except StateUnavailableError as error:
            print(f"{'state':<8} {name:<14} skipped: {error.what}", flush=True)
        except InstrumentError as error:
            print(f"{'state':<8} {name:<14} WRONG: {error.what}", flush=True)
            is_well = False
        else:
            alike = ", ".join(fixture.alike[name])
            told = f"in place, or {alike}: this device does not tell" if alike else "in place"
            print(f"{'state':<8} {name:<14} {told}", flush=True)
    return is_well


@app.command(name="plan")
def rig_plan(
    rig: str,
    scenario: str,
    *,
    visit: str | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
    set_: Overrides = (),
) -> int:
    """Tell what a rig would do with a scenario: volts, codes, noise, limits. Drives nothing.

    A scenario is played by the first generator; further ones stay off.

    Parameters
    ----------
    rig
        Shipped name or path of a rig file.
    scenario
        Shipped name or path of a scenario's or of an examination's file.
    visit
        Name of the visit, of an examination that has several.
    json_
        Print it as JSON.
    set_
        key.path=value of the scenario; begin with rig. for a value of the rig.
    """
    from emgsim.bench.outlook import foresee
    from emgsim.bench.outlook_text import outlook_text, outlooks_text, verdict_line
    from emgsim.bench.program import program_for
    from emgsim.bench.rig import load_rig
    from emgsim.scenario import Scenario, load_scenario
    from emgsim.simulation import simulate

    of_scenario, of_rig = split(set_)
    on_rig = load_rig(rig, overrides=of_rig)
    scenarios: dict[str, Scenario]
    if is_examination(scenario):
        from emgsim.exam.examination import load_examination

        exam = load_examination(scenario, overrides=of_scenario).on(visit)
        scenarios = {one.muscle.name: exam.scenario(one) for one in exam.muscles}
    else:
        loaded = load_scenario(scenario, overrides=of_scenario)
        scenarios = {loaded.id: loaded}
    foreseen = {}
    for name, one in scenarios.items():
        recording, _ = simulate(one, for_playing=True)
        foreseen[name] = foresee(
            program_for(recording, on_rig.profile.band_hz[1]), on_rig, name=f"scenario {one.id}"
        )
        if len(scenarios) > 1:
            say(f"{name}: {verdict_line(foreseen[name])}")
    if json_:
        print(json.dumps({name: outlook.table() for name, outlook in foreseen.items()}))
    elif len(foreseen) == 1:
        print(outlook_text(*foreseen.values()), end="")
    else:
        print(outlooks_text(foreseen), end="")
    return 0 if all(outlook.would_be_played for outlook in foreseen.values()) else REFUSED


@app.command(name="serve")
def rig_serve(rig: str = "virtual", *, seed: Seed = 0, set_: Overrides = ()) -> int:
    """Serve a virtual rig for other people's software, in real time, until SIGINT or SIGTERM.

    Prints one VISA address or serial device per line: source, further generators, capture, device,
    and the switch if there is one.

    Parameters
    ----------
    rig
        Shipped name or path of a virtual rig file.
    seed
        Seed of the noise and of the converters' phases.
    set_
        key.path=value of the rig; virtual.clock=free lets time pass as fast as somebody reads.
    """
    from emgsim.bench.rig import load_rig
    from emgsim.bench.served import ServedRig

    loaded = load_rig(rig, overrides=set_)
    if loaded.kind != "virtual":
        raise UsageError(f"only virtual rigs can be served, {loaded.id} is {loaded.kind!r}")
    # Other people's software reads in its own time: a second of the plant is one of the wall.
    loaded = load_rig(rig, overrides=("virtual.clock=paced", *set_))
    # A handler and not sigwait: threads of numpy's libraries have not blocked the signals.
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with ServedRig(loaded, seed) as served:
        for address in served.addresses.values():
            print(address, flush=True)
        ended.wait()
    return 0


def arm(rig: str, *, by: str, dut: str, set_: Overrides = ()) -> int:
    """Vouch for a real rig: its device is connected to no person. Expires.

    Parameters
    ----------
    rig
        Shipped name or path of a rig file.
    by
        Your name.
    dut
        Serial number of the device, read off the device itself.
    set_
        key.path=value of the rig; a run must be given the same.
    """
    from emgsim.bench import arming
    from emgsim.bench.rig import load_rig

    loaded = load_rig(rig, overrides=set_)
    if not sys.stdin.isatty():
        raise SafetyError(
            "arming needs a person at a terminal: the statement is never given by a script",
            where=f"rig {loaded.id}",
            todo="run the command by hand, where the device can be seen",
        )
    print(
        f"Rig {loaded.id} will drive the inputs of device {dut}. Look at its electrodes and "
        f"leads.\nType `{arming.STATEMENT}` if that is so: ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    word = arming.arm(loaded, by=by, device_serial=dut, statement=sys.stdin.readline())
    print(
        f"rig {word.rig} is armed for device {word.device_serial} by {word.by} "
        f"until {word.until:%Y-%m-%d %H:%M} UTC"
    )
    return 0


def disarm(rig: str, *, set_: Overrides = ()) -> int:
    """Take the word for a rig back.

    Parameters
    ----------
    rig
        Shipped name or path of a rig file.
    set_
        key.path=value of the rig.
    """
    from emgsim.bench import arming
    from emgsim.bench.rig import load_rig

    loaded = load_rig(rig, overrides=set_)
    was_armed = arming.disarm(loaded)
    print(f"rig {loaded.id} {'is no longer armed' if was_armed else 'was not armed'}")
    return 0
