"""The part of a run that drives a rig: opened, loaded, played, made safe, each step journalled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from emgsim.bench.levels import LevelPlan
from emgsim.bench.playing import Catch, load_program, play
from emgsim.bench.program import Program
from emgsim.bench.rig import Rig
from emgsim.bench.station import Station
from emgsim.errors import EmgsimError
from emgsim.recording import Channel, Gap, Recording
from emgsim.running.logbook import Logbook
from emgsim.running.opening import opened
from emgsim.running.played import SPOOL, Played, spool
from emgsim.running.resuming import Done

PlayPass = Callable[[Program, int], tuple[Played, int]]
"""Plays a program, the channel of that number, and tells which input of the device was read."""


class Playback:
    """One rig and the one playback on it, which may have been made before.

    ``broken_off`` is what was caught of a playback that broke off, and its levels.

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
        self.broken_off: tuple[Catch, LevelPlan] | None = None

    def played(self, program: Program) -> Played:
        """Return what was captured of a program: played now, or kept from before.

        Raises
        ------
        EmgsimError
            What ended the playback; what the device had sent until then is kept.
        """
        if "play" not in self._done.stages:
            with self._opened() as station:
                plan = self._load(station, program)
                return self._play(station, program, plan)
        if not self._done.is_safe:  # it was played, and nobody saw the output off since
            with self._opened():
                pass
        return Played.read(self._logbook.folder)

    @contextmanager
    def opened(self) -> Iterator[PlayPass]:
        """Open the rig for several playbacks, and leave it in its safe state.

        The generator is wired to all inputs of the device. That of a channel's number is read; a
        device that has fewer is read at the number that is left over.
        """
        with self._opened() as station:

            def play_pass(program: Program, number: int) -> tuple[Played, int]:
                return self._play_pass(station, program, self._load(station, program), number)

            yield play_pass

    def _opened(self) -> AbstractContextManager[Station]:
        return opened(self._rig, self._seed, self._logbook, self._done.identities)

    def _load(self, station: Station, program: Program) -> LevelPlan:
        with self._logbook.stage("load") as say:
            plan, receipt = load_program(station, program)
            self._journal.append("plan", values=plan.table() | {"codes_sha256": receipt.sha256})
            say(
                f"{plan.n_points} points at {plan.source_rate_hz:g} Sa/s, "
                f"{plan.vpp_open_v:g} Vpp, peak {plan.peak_at_device_uv:.0f} uV at the device"
            )
        return plan

    def _play(self, station: Station, program: Program, plan: LevelPlan) -> Played:
        with self._logbook.stage("play") as say:
            catch = self._caught(station, program, plan)
            played = Played.of(catch, plan, self._rig)
            self._spooled(played, SPOOL)
            say(_told(played, catch))
        return played

    def _play_pass(
        self, station: Station, program: Program, plan: LevelPlan, number: int
    ) -> tuple[Played, int]:
        input = number % station.device.n_channels
        with self._logbook.stage("play") as say:
            catch = self._caught(station, program, plan, is_last=False)
            played = Played.of(catch, plan, self._rig, input)
            # Without its other inputs, of which a grid has hundreds.
            self._spooled(replace(played, others=played.others[:, :0]), spool(number))
            say(_told(played, catch))
        return played, input

    def _caught(
        self, station: Station, program: Program, plan: LevelPlan, *, is_last: bool = True
    ) -> Catch:
        """Play what is loaded; what was caught of a playback that breaks off is kept."""
        catch = Catch()
        try:
            play(station, program, plan, catch, is_last=is_last)
        except (EmgsimError, KeyboardInterrupt):
            self._keep_raw(station, catch)
            self.broken_off = catch, plan
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
