"""The part of a run that drives a rig: opened, loaded, played, made safe, each step journalled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from emgsim.bench.levels import LevelPlan
from emgsim.bench.playing import Catch, Loaded, load_program, play_together
from emgsim.bench.program import Program
from emgsim.bench.rig import Rig
from emgsim.bench.station import Station
from emgsim.errors import EmgsimError
from emgsim.recording import Channel, Gap, Recording
from emgsim.running.logbook import Logbook
from emgsim.running.opening import opened
from emgsim.running.played import SPOOL, Played, spool
from emgsim.running.resuming import Done


@dataclass(frozen=True, eq=False, kw_only=True)
class Turn:
    """One channel's turn: what was played, by which generator, and what the input heard of it.

    Channels, generators and inputs of the device are counted from 0.
    """

    number: int
    source: int
    input: int
    program: Program
    played: Played


@dataclass(frozen=True, eq=False, kw_only=True)
class BrokenOff:
    """A program whose playback broke off, what was caught until then, and where it was heard."""

    source: int
    input: int
    program: Program
    plan: LevelPlan
    catch: Catch


PlayGroup = Callable[[Mapping[int, Program]], list[Turn]]
"""Plays programs at once, by the numbers of their channels: one for each generator at most."""


class Playback:
    """One rig and the one playback on it, which may have been made before.

    ``broken_off`` is what was played when a playback broke off: by one generator, or by several.

    Parameters
    ----------
    rig, seed
        What is driven, and the noise of a virtual one.
    logbook
        Where every step is written.
    done
        What an interrupted run had done.
    """

    def __init__(self, rig: Rig, seed: int, logbook: Logbook, done: Done) -> None:
        self._rig, self._seed, self._logbook, self._done = rig, seed, logbook, done
        self._journal = logbook.journal
        self.broken_off: tuple[BrokenOff, ...] = ()

    def played(self, program: Program) -> Played:
        """Return what was captured of a program: played now, or kept from before.

        Raises
        ------
        EmgsimError
            What ended the playback; what the device had sent until then is kept.
        """
        if "play" not in self._done.stages:
            with self._opened() as station:
                return self._play(self._load(station.of(0), program))
        if not self._done.is_safe:  # it was played, and nobody saw the output off since
            with self._opened():
                pass
        return Played.read(self._logbook.folder)

    @contextmanager
    def opened(self) -> Iterator[PlayGroup]:
        """Open the rig for several playbacks, and leave it in its safe state.

        The first generator is wired to all inputs of the device that no other one drives. Of those
        a channel is read at that of its number; where there are fewer, at the number that is left
        over.
        """
        with self._opened() as station:

            def play_group(programs: Mapping[int, Program]) -> list[Turn]:
                return self._play_group(station, programs)

            yield play_group

    def _opened(self) -> AbstractContextManager[Station]:
        return opened(self._rig, self._seed, self._logbook, self._done.identities)

    def _load(self, station: Station, program: Program) -> Loaded:
        with self._logbook.stage("load") as say:
            plan, receipt = load_program(station, program)
            self._journal.append("plan", values=plan.table() | {"codes_sha256": receipt.sha256})
            say(
                f"{plan.n_points} points at {plan.source_rate_hz:g} Sa/s, "
                f"{plan.vpp_open_v:g} Vpp, peak {plan.peak_at_device_uv:.0f} uV at the device"
            )
        return Loaded(station, program, plan)

    def _play(self, loaded: Loaded) -> Played:
        with self._logbook.stage("play") as say:
            catch = self._caught([loaded], [0])
            played = Played.of(catch, loaded.plan, self._rig)
            self._spooled(played, SPOOL)
            say(_told(played, catch))
        return played

    def _play_group(self, station: Station, programs: Mapping[int, Program]) -> list[Turn]:
        loaded = [self._load(station.of(k), one) for k, one in enumerate(programs.values())]
        own = [self._rig.inputs_of(k, station.device.n_channels) for k in range(len(loaded))]
        inputs = [k[number % len(k)] for k, number in zip(own, programs, strict=True)]
        # A look at each block sees a generator's first input: all of its inputs hear the same.
        with self._logbook.stage("play") as say:
            catch = self._caught(loaded, inputs, is_last=False)
            turns = [
                Turn(
                    number=number,
                    source=k,
                    input=inputs[k],
                    program=loaded[k].program,
                    played=Played.of(
                        catch,
                        loaded[k].plan,
                        loaded[k].station.rig,
                        inputs[k],
                        number=k,
                        others=[other for other in own[k] if other != inputs[k]],
                    ),
                )
                for k, number in enumerate(programs)
            ]
            for turn in turns:
                # Without its other inputs, of which a grid has hundreds.
                kept = replace(turn.played, others=turn.played.others[:, :0])
                self._spooled(kept, spool(turn.number))
            say(_told(turns[0].played, catch))
        return turns

    def _caught(
        self, loaded: Sequence[Loaded], inputs: Sequence[int], *, is_last: bool = True
    ) -> Catch:
        """Play what is loaded; what was caught of a playback that breaks off is kept."""
        catch = Catch()
        try:
            play_together(loaded, catch, is_last=is_last)
        except (EmgsimError, KeyboardInterrupt):
            self._keep_raw(loaded[0].station, catch)
            self.broken_off = tuple(
                BrokenOff(source=k, input=input, program=one.program, plan=one.plan, catch=catch)
                for k, (one, input) in enumerate(zip(loaded, inputs, strict=True))
            )
            raise
        return catch

    def _spooled(self, played: Played, name: str) -> None:
        played.write(self._logbook.folder, name)
        self._journal.file(name, "spool")

    def _keep_raw(self, station: Station, catch: Catch) -> None:
        """Keep what the device had sent when a playback broke off."""
        counts = catch.device_counts()
        if counts.size == 0:
            return
        uv = counts * station.profile.scale_uv_per_count
        recording = Recording(
            samples_uv=uv,
            rate_hz=station.device.rate_hz,
            channels=tuple(Channel(name=f"device {i + 1}") for i in range(uv.shape[1])),
            gaps=tuple(Gap(first_sample=a, n_samples=n) for a, n in catch.gaps()),
        )
        number = f"_{self._done.n_broken + 1}" if self._done.n_broken else ""
        self._logbook.keep(f"device_raw{number}", recording)


def _told(played: Played, catch: Catch) -> str:
    n_lost = sum(n for _, n in catch.gaps())
    return f"{played.counts.size} device samples, {n_lost} lost"
