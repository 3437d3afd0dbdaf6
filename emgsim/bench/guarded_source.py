"""The only way to a generator: energising calls pass the rig's limits, the safe state latches."""

from __future__ import annotations

import hashlib
import threading
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from emgsim.bench.arming import Now, Permit, utc_now
from emgsim.bench.exposure import ABSENT, exposure, playback_s, refuse_harm
from emgsim.bench.parts import FixtureState
from emgsim.bench.rig import THROUGH, Rig
from emgsim.errors import EmgsimError, SafetyError
from emgsim.instruments.base import Identity, Source, SourceCaps, SourceSettings, UploadReceipt

Floats = NDArray[np.float64]

LEASE_MARGIN_S = 10.0  # over the playback: the trigger, and what is left to read when it ends


class Leasing(Protocol):
    """A guard process that switches off when a lease ends (`emgsim.bench.guard.Guard`)."""

    def lease(self, seconds: float) -> None:
        """Let the guard expect that the output is on for so long; raise if it does not answer."""

    def release(self) -> None:
        """Let the guard know that the output was confirmed off."""


class GuardedSource:
    """A generator behind the limits of its rig.

    A waveform is scanned before it is uploaded, for what the device would see through the fixture
    in its present state; a state that nobody has verified counts as no fixture at all. Playback is
    a finite number of cycles. After `safe` nothing can be switched on again with this object:
    whoever still holds it, a thread that woke late or a ``finally`` clause, gets a `SafetyError`.
    Leaving the context makes it safe.

    Parameters
    ----------
    source
        The generator's driver. Nobody else may hold it.
    rig
        Its limits and the fixture's states.
    permit
        Why it may be energised; it may expire.
    guard
        The process that switches off when this one cannot.
    now
        Tells the time on the wall, by which words and certificates expire.
    role
        Its name among the generators of a rig.
    """

    def __init__(
        self,
        source: Source,
        rig: Rig,
        permit: Permit,
        *,
        guard: Leasing | None = None,
        now: Now = utc_now,
        role: str = "source",
    ) -> None:
        self.rig, self.permit, self.role = rig, permit, role
        self._source, self._guard, self._now = source, guard, now
        self._lock = threading.RLock()
        self._is_latched = False
        self._is_on = False
        self._on_s: float | None = None  # of what is loaded
        self._state = THROUGH
        # The parts of a virtual rig are what its file says.
        is_virtual = permit.kind == "virtual"
        self._verified = {THROUGH, *rig.fixture.states} if is_virtual else set[str]()

    def identify(self) -> Identity:
        """Return who the generator says it is."""
        return self._source.identify()

    @property
    def where(self) -> str:
        """Name the rig, and of several generators which one, for messages."""
        return f"rig {self.rig.id}" + ("" if self.role == "source" else f", {self.role}")

    @property
    def caps(self) -> SourceCaps:
        """What the generator can do."""
        return self._source.caps

    @property
    def is_on(self) -> bool:
        """Whether the output may be on."""
        return self._is_on

    @property
    def is_latched(self) -> bool:
        """Whether it was made safe: nothing can be switched on with this object any more."""
        return self._is_latched

    # -- the fixture -------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """The fixture's state, through which volts are counted."""
        return self._state

    @property
    def is_verified(self) -> bool:
        """Whether the fixture is known to be in its state."""
        return self._state in self._verified

    def goes_through(self, state: str) -> None:
        """Take note of the fixture's state; what was loaded for another one is forgotten.

        Raises
        ------
        SafetyError
            If the output is on.
        InputError
            If the fixture has no such state.
        """
        self.rig.state(state)
        with self._lock:
            if self._is_on:
                raise SafetyError(
                    f"refused to change the fixture to {state!r}: the output is on",
                    where=self.where,
                    todo="switch the output off first",
                )
            if state != self._state:
                self._state, self._on_s = state, None

    def verified(self, *, is_there: bool = True) -> None:
        """Take note that the fixture's state was measured and is what is declared, or is not."""
        (self._verified.add if is_there else self._verified.discard)(self._state)

    # -- energising --------------------------------------------------------------------------

    def load(self, volts: Floats, settings: SourceSettings) -> tuple[SourceSettings, UploadReceipt]:
        """Scan and upload a waveform and set the generator, its output staying off.

        Raises
        ------
        SafetyError
            If the waveform, played with these settings, would break a limit of the rig.
        """
        with self._lock:
            self._refuse_if_latched("load a waveform")
            self._on_s = None
            self._scan(volts, settings)
            receipt = self._source.upload(_name(volts), volts, settings)
            actual = self._source.configure(settings)
            self._scan(volts, actual, scale=actual.vpp_open_v / settings.vpp_open_v)
            self._on_s = playback_s(volts, actual)
            return actual, receipt

    def energise(self) -> None:
        """Switch the output on; the generator then waits for a trigger.

        Raises
        ------
        SafetyError
            If nothing is loaded, the permit has expired, or the guard does not answer.
        InstrumentError
            If the generator's settings are no longer those that were loaded.
        """
        with self._lock:
            self._refuse_if_latched("switch the output on")
            if self._on_s is None:
                raise SafetyError("the output may not be switched on before a waveform is loaded")
            self.permit.refuse_if_over(self._now())
            self._fixture()
            if self._guard is not None:
                self._guard.lease(self._on_s + LEASE_MARGIN_S)
            self._is_on = True
            self._source.arm()
            if self._is_latched:  # somebody made it safe while the generator was being armed
                self._off()
                self._refuse_if_latched("leave the output on")

    def trigger(self) -> None:
        """Start the playback."""
        with self._lock:
            self._refuse_if_latched("trigger")
            if not self._is_on:
                raise SafetyError("the generator may not be triggered before it is energised")
            self._source.trigger()

    def off(self) -> None:
        """Switch the output off; it can be energised again."""
        with self._lock:
            self._off()

    def safe(self) -> None:
        """Switch the output off, and keep it off."""
        self._is_latched = True  # first of all: no call that begins from now on energises
        # A call that hangs must not keep us waiting for ever: should it end, it sees the latch.
        is_ours = self._lock.acquire(timeout=self.rig.safe_state.deadline_s)
        try:
            self._off()
        finally:
            if is_ours:
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.safe()
        except EmgsimError as failure:
            if error is None:
                raise
            error.add_note(
                f"  and the output of the {self.role} could NOT be confirmed off: {failure.what}"
            )

    def _off(self) -> None:
        self._source.off()
        self._is_on = False
        if self._guard is not None:
            self._guard.release()

    def _refuse_if_latched(self, action: str) -> None:
        if self._is_latched:
            raise SafetyError(
                f"refused to {action}: the source is latched in its safe state",
                where=self.where,
                todo="begin a new run",
            )

    def _fixture(self) -> FixtureState:
        """Return what the volts go through; refuse a transfer that nobody vouches for."""
        if not self.is_verified:
            return ABSENT
        state, where = self.rig.state(self._state), f"{self.where}, state {self._state}"
        if state.certificate is None:
            raise SafetyError(
                "refused: nobody has certified what the fixture lets through",
                where=where,
                todo="calibrate it, and put its certificate into the rig file",
            )
        if state.certificate.has_expired(self._now().date()):
            raise SafetyError(
                f"refused: the fixture's certificate {state.certificate.id} was due on "
                f"{state.certificate.due}",
                where=where,
                todo="calibrate the fixture, and put the new certificate into the rig file",
            )
        return state

    def _scan(self, volts: Floats, settings: SourceSettings, scale: float = 1.0) -> None:
        if volts.size == 0 or not np.isfinite([volts.max(), volts.min()]).all():
            raise SafetyError("refused a waveform that is empty or not finite", where=self.where)
        state = self._fixture()
        refuse_harm(exposure(volts, settings, self.rig, state, scale=scale), self.rig, state)


def _name(volts: Floats) -> str:
    """Return a name that nobody else gives another waveform: of its own content."""
    return f"e{hashlib.sha256(volts.tobytes()).hexdigest()[:11]}"
