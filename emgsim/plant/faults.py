"""What goes wrong on purpose on a virtual rig: the ``[faults]`` table of a rig file.

The bench reads it with the rig, and the servers act it out. Numbers of messages and queries count
from the start of the server, over all connections; the first is 1, and 0 means never.
"""

from __future__ import annotations

from pydantic import Field

from emgsim.plant.physics import Physics
from emgsim.plant.signal_faults import SignalFaults


class ScpiFaults(Physics):
    """Say what goes wrong in the firmware of an instrument, whatever wire it is reached by."""

    counted: str = ""  # only messages that hold these characters count, for example "*TRG"
    no_answer_at_query: int = Field(0, ge=0)  # it is obeyed, and its answer is never sent
    late_answer_at_query: int = Field(0, ge=0)
    late_by_s: float = Field(1.0, gt=0, le=60)  # of wall time
    drop_at_message: int = Field(0, ge=0)  # the connection is closed, the message not obeyed
    truncated_block: bool = False  # every block ends half-way
    wrong_identity: str = ""  # what *IDN? is answered with, in place of the truth
    error_queue_overflow_at_message: int = Field(0, ge=0)  # more errors than the queue holds


class SourceFaults(ScpiFaults):
    """Say what goes wrong in a generator."""

    stuck_output: bool = False  # once on, the output stays on: OFF is accepted and the query says 1


class GeneratorFaults(Physics):
    """Say what goes wrong with one generator and the divider behind it."""

    source_error: bool = False  # it queues -310 at every upload
    source_silent: bool = False  # it accepts connections and never answers
    divider_removed_at_s: float | None = Field(None, ge=0)  # of simulated time; 0: never was in
    source: SourceFaults = SourceFaults()


class Faults(Physics):
    """Say what goes wrong on purpose; by default nothing does."""

    drop_every_n_frames: int = Field(0, ge=0)  # of the amplifier; 0 = never
    drop_frames: tuple[int, int] = (0, 0)  # of the amplifier: the first one, and how many
    repeat_every_n_frames: int = Field(0, ge=0)  # of the amplifier; sent twice
    corrupt_every_n_frames: int = Field(0, ge=0)  # of the amplifier; one bit in the middle
    break_every_n_frames: int = Field(0, ge=0)  # of the amplifier; the last byte
    hang_up_after_frames: int = Field(0, ge=0)  # of the amplifier; 0 = never
    source_error: bool = False  # the generator queues -310 at every upload
    source_silent: bool = False  # the generator accepts connections and never answers
    divider_removed_at_s: float | None = Field(None, ge=0)  # of simulated time; 0: never was in
    lid_opens_at_s: float | None = Field(None, ge=0)  # of simulated time
    stuck_relay: int | None = Field(None, ge=0)  # its box says that it obeys, and it stays off
    source: SourceFaults = SourceFaults()
    capture: ScpiFaults = ScpiFaults()
    signal: SignalFaults = SignalFaults()
    others: tuple[GeneratorFaults, ...] = ()  # of the further generators, in their order

    def of(self, number: int) -> GeneratorFaults:
        """Return the faults of one generator, from 0; of one that has no table: none."""
        if number:
            return self.others[number - 1] if number <= len(self.others) else GeneratorFaults()
        return GeneratorFaults(
            source_error=self.source_error,
            source_silent=self.source_silent,
            divider_removed_at_s=self.divider_removed_at_s,
            source=self.source,
        )
