"""Rig files: what is wired to what, what each part declares, and which limits hold.

A rig may extend another one; what it says stands on top, table by table. A device's limits are
those of its own data sheet (its profile), which is read with the rig, so that every mistake of both
is named before a port is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from emgsim.bench.parts import (
    OPERATOR,
    CaptureRole,
    DeviceRole,
    FixtureRole,
    FixtureState,
    Interlock,
    Limits,
    Lock,
    OtherSource,
    Part,
    SafeState,
    SourceRole,
    SwitchRole,
    Wires,
)
from emgsim.configuration import Table, checked, merged, read_table, refused, with_overrides
from emgsim.errors import InputError
from emgsim.instruments.profiles import DeviceProfile, load_profile
from emgsim.plant.faults import Faults
from emgsim.plant.physics import RigPhysics
from emgsim.shipped import find

VIRTUAL = "virtual:"
THROUGH = "through"  # the fixture's state in which a recording is played


def source_role(number: int) -> str:
    """Return the name of a generator's role: ``source``, ``source_2``, ``source_3`` and so on.

    Parameters
    ----------
    number
        Of the generator, from 0.
    """
    return f"source_{number + 1}" if number else "source"


class Simulated(RigPhysics):
    """What is behind the wires of a virtual rig, and which wires those are."""

    wires: Wires = Wires()


class Rig(Part):
    """One wired set: source, fixture, device and capture."""

    format: Annotated[Literal["emgsim.rig/1"], Field(alias="schema")]
    id: str = Field(pattern=r"^[a-z0-9_-]+$")
    title: str = ""
    kind: Literal["virtual", "bench"]
    station: str = ""  # host and place
    link_timeout_s: float = Field(5.0, gt=0, le=60)  # longest wait for an answer
    limits: Limits = Limits()
    interlock: Interlock = Interlock()
    source: SourceRole
    fixture: FixtureRole
    others: tuple[OtherSource, ...] = ()  # further generators
    switch: SwitchRole | None = None
    capture: CaptureRole
    device: DeviceRole
    safe_state: SafeState = SafeState()
    lock: Lock = Lock()
    virtual: Simulated | None = None
    faults: Faults = Faults()

    @model_validator(mode="after")
    def _parts_belong_together(self) -> Self:
        mistakes = [
            *self._resource_mistakes(),
            *self._state_mistakes(),
            *self._other_source_mistakes(),
        ]
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self

    def _resource_mistakes(self) -> Iterator[str]:
        resources = {
            "source": self.source.resource,
            "capture": self.capture.resource,
            "device": self.device.resource,
        }
        for number, other in enumerate(self.others, 1):
            resources[source_role(number)] = other.resource
        if self.switch is not None and self.switch.driver != OPERATOR:
            resources["switch"] = self.switch.resource
        if self.kind == "virtual" and self.virtual is None:
            yield "kind = 'virtual' needs a [virtual] table"
        for name, resource in resources.items():
            if self.kind == "virtual" and resource != VIRTUAL + name:
                yield (
                    f"{name}.resource of a virtual rig must be '{VIRTUAL}{name}', got {resource!r}"
                )
            if self.kind == "bench" and (resource.startswith(VIRTUAL) or not resource):
                yield f"{name}.resource: kind = 'bench' has a virtual resource, got {resource!r}"

    def _state_mistakes(self) -> Iterator[str]:
        states = self.fixture.states
        if THROUGH in states:
            yield f"fixture.states.{THROUGH}: it is what [fixture] itself describes"
        relays: dict[frozenset[int], str] = {frozenset(): THROUGH}
        for name, state in states.items() if self.switch is not None else ():
            other = relays.setdefault(frozenset(state.relays), name)
            if other != name:
                yield (
                    f"fixture.states.{name}.relays: {list(state.relays)} are those of {other!r} too"
                )
        if self.safe_state.fixture not in {"", THROUGH, *states}:
            yield (
                f"safe_state.fixture must be a state of the fixture, "
                f"got {self.safe_state.fixture!r}"
            )
        if self.interlock.unattended and (
            self.interlock.monitored_input is None
            or self.switch is None
            or self.switch.driver == OPERATOR
        ):
            yield (
                "interlock.unattended = true needs interlock.monitored_input, and a [switch] that "
                "reads it: a lid or a lead detector must be watched where nobody is"
            )

    def _other_source_mistakes(self) -> Iterator[str]:
        if not self.others and not (self.virtual and self.virtual.others):
            return
        if self.switch is not None or self.fixture.states:
            yield (
                "others: a fixture that is switched between states has one source; take [switch] "
                "and [fixture.states] out, or [[others]]"
            )
        inputs = [other.input for other in self.others]
        if len(set(inputs)) < len(inputs):
            yield f"others.input: each source must have an input of its own, got {inputs}"
        channels = [self.capture.source_channel, self.capture.monitor_channel]
        channels += [other.capture_channel for other in self.others]
        if len(set(channels)) < len(channels):
            yield (
                "others.capture_channel: each must differ from the others, "
                "capture.source_channel and capture.monitor_channel, "
                f"got {channels[2:]} beside {channels[0]} and {channels[1]}"
            )
        resources = [self.source.resource, *(other.resource for other in self.others)]
        if len(set(resources)) < len(resources):
            yield f"others.resource: each source must have an address of its own, got {resources}"
        if self.virtual is not None and [other.input for other in self.virtual.others] != inputs:
            yield (
                "virtual.others: must be as many as [[others]], with the same inputs in the same "
                f"order {inputs}, got {[other.input for other in self.virtual.others]}"
            )

    @property
    def profile(self) -> DeviceProfile:
        """The device's data sheet."""
        return load_profile(find("rigs/devices", self.device.profile))

    @property
    def n_sources(self) -> int:
        """Number of generators."""
        return 1 + len(self.others)

    def of(self, number: int) -> Self:
        """Return the rig as one of its generators sees it, from 0: as if it were the only one.

        The device's analogue output is that of its first input, so only the first one has it.
        """
        if not self.others:
            return self
        alone: dict[str, object] = {"others": ()}
        if self.virtual is not None:
            alone["virtual"] = self.virtual.of(number).model_copy(update={"others": ()})
        if number:
            other = self.others[number - 1]
            alone |= {
                "source": other,
                "fixture": FixtureRole(**dict(other.fixture)),
                "capture": self.capture.model_copy(
                    update={"source_channel": other.capture_channel, "monitor_channel": None}
                ),
            }
        return self.model_copy(update=alone)

    def inputs_of(self, number: int, n_inputs: int) -> tuple[int, ...]:
        """Return which of the device's inputs a generator drives, both counted from 0."""
        if number:
            return (self.others[number - 1].input,)
        taken = {other.input for other in self.others}
        return tuple(k for k in range(n_inputs) if k not in taken)

    @property
    def load_factor(self) -> float:
        """Voltage of the loaded source over its open-circuit voltage."""
        return self.load_factor_in(self.fixture.through)

    @property
    def device_volts_per_open_volt(self) -> float:
        """Volts at the device for one open-circuit volt at the source."""
        return self.fixture.ratio * self.load_factor

    @property
    def has_guard(self) -> bool:
        """Whether a guard process watches over the source."""
        wanted = self.safe_state.guard
        return self.kind == "bench" if wanted is None else wanted

    def load_factor_in(self, state: FixtureState) -> float:
        """Return the voltage of the source, loaded in a state, over its open-circuit voltage."""
        return state.input_ohm / (state.input_ohm + self.source.output_ohm)

    def state(self, name: str) -> FixtureState:
        """Return a state of the fixture.

        Raises
        ------
        InputError
            If there is none of that name.
        """
        states = {THROUGH: self.fixture.through, **self.fixture.states}
        if name not in states:
            raise InputError(
                f"the fixture has no state {name!r}; it has {', '.join(sorted(states))}",
                where=f"rig {self.id}, fixture.states",
                todo=f"add a table [fixture.states.{name}]",
            )
        return states[name]

    def resolved(self) -> Table:
        """Return the rig with every default filled in, ready for JSON."""
        return self.model_dump(mode="json", by_alias=True)


def load_rig(name: str | Path, *, overrides: Iterable[str] = ()) -> Rig:
    """Load a rig by its shipped name or by its path; no port is opened.

    Raises
    ------
    InputError
        If there is no such file, or it has mistakes; all of them are named, and those of the device
        profile that it names.
    """
    path = find("rigs", name)
    table = with_overrides(_extended(path), overrides)
    rig, profile = checked(Rig, table), _profile_in(table)
    mistakes = [*(rig if isinstance(rig, list) else ())]
    mistakes += profile if isinstance(profile, list) else []
    if isinstance(rig, Rig) and isinstance(profile, DeviceProfile):
        mistakes += [*_missing_inputs(rig, profile), *_harm(rig, profile)]
    if mistakes or not isinstance(rig, Rig):
        raise refused(mistakes, str(path))
    return rig


def _extended(path: Path, children: tuple[Path, ...] = ()) -> Table:
    """Read a rig file on top of the one that it extends, which stands beside it or is shipped."""
    if path.resolve() in children:
        raise InputError(
            f"a rig file extends itself: {' -> '.join(child.name for child in children)}",
            where=str(path),
            todo="take one `extends` out",
        )
    table = read_table(path)
    device = table.get("device")
    if isinstance(device, dict) and isinstance(device.get("profile"), str):
        table["device"] = {**device, "profile": _beside(path, device["profile"])}
    parent = table.pop("extends", None)
    if parent is None:
        return table
    if "id" not in table:
        raise InputError(
            "a rig that extends another one must have an id of its own",
            where=str(path),
            todo="add a line id = ...",
        )
    base = find("rigs", _beside(path, str(parent)))
    return merged(_extended(base, (*children, path.resolve())), table)


def _beside(path: Path, name: str) -> str:
    """Return the file that a rig file names by its path from there; any other name as it is."""
    beside = path.parent / name
    return str(beside.resolve()) if beside.is_file() else name


def _profile_in(table: Table) -> DeviceProfile | list[str]:
    """Return the profile that a rig's table names, or its mistakes; none where none is named."""
    device = table.get("device")
    name = device.get("profile") if isinstance(device, dict) else None
    if not isinstance(name, str):
        return []  # the rig's own mistake
    try:
        return load_profile(find("rigs/devices", name))
    except InputError as error:
        return [f"device.profile: {error.what} ({error.where})"]


def _missing_inputs(rig: Rig, profile: DeviceProfile) -> Iterator[str]:
    """Yield what is led to an input that the device has not."""
    for number, other in enumerate(rig.others):
        if other.input >= profile.n_channels:
            yield (
                f"others.{number}.input: {profile.model} has the inputs 0 to "
                f"{profile.n_channels - 1}, got {other.input}"
            )


def _harm(rig: Rig, profile: DeviceProfile) -> Iterator[str]:
    """Yield what could harm the device even when nothing else goes wrong."""
    no_damage_v = profile.no_damage_v
    differential_mv = {"limits": rig.limits.device_differential_mv_pk} | {
        f"fixture.states.{name}": state.device_differential_mv_pk
        for name, state in rig.fixture.states.items()
    }
    for place, limit_mv in differential_mv.items():
        if limit_mv is not None and 1e-3 * limit_mv > no_damage_v:
            yield (
                f"{place}.device_differential_mv_pk: must be at most the {1e3 * no_damage_v:g} mV "
                f"that do {profile.model} no damage, got {limit_mv:g}"
            )
    clamps_v = {"fixture": rig.fixture.clamp_v} | {
        f"others.{number}.fixture": other.fixture.clamp_v for number, other in enumerate(rig.others)
    }
    for place, clamp_v in clamps_v.items():
        if rig.limits.source_v_pk > no_damage_v and (clamp_v is None or clamp_v > no_damage_v):
            yield (
                f"limits.source_v_pk: {rig.limits.source_v_pk:g} V reach the device when the "
                f"divider falls out, and {no_damage_v:g} V may harm {profile.model}: lower it, or "
                f"clamp the device's input and say so by {place}.clamp_v (got {clamp_v})"
            )
