"""The guard: a process that switches the outputs off when this one dies or hangs.

Energising needs a lease, and a lease needs a guard that answers::

    with Guard([off_order], log=folder / "guard.jsonl", pass_fds=held) as guard:
        guard.lease(play_s + margin_s)
        source.arm()
        ...
        source.off()
        guard.release()

Open the instruments inside the guard's context: they are closed before it ends, so that it can
reach a port that takes one client only.
"""

from __future__ import annotations

import math
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from emgsim.errors import EmgsimError, SafetyError
from emgsim.instruments.off import GRACE_S, Job, OffOrder

START_TIMEOUT_S = 15.0
ANSWER_TIMEOUT_S = 5.0
END_TIMEOUT_S = 5.0  # for its log to reach the disk
LATE = ("ready", "leased", "released")
MODULE = "emgsim.instruments.off"


class Guard:
    """Holds a guard process while the context lasts.

    Parameters
    ----------
    orders
        How each instrument is switched off; none for one that dies with the process that plays,
        which is then all that the guard ends.
    log
        JSON-lines file that the guard appends to.
    pass_fds
        Descriptors that the guard inherits: the locks, which are thus held until the outputs are
        off.
    """

    def __init__(
        self, orders: Sequence[OffOrder], log: str | Path, *, pass_fds: Iterable[int] = ()
    ) -> None:
        self.log = Path(log).resolve()
        self._orders = tuple(orders)
        self._pass_fds = tuple(pass_fds)
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()  # one exchange at a time, whichever thread begins it
        self._unread = b""
        self._trouble = ""
        self._is_leased = False

    @property
    def pid(self) -> int:
        """Process id of the guard; 0 when there is none."""
        return 0 if self._process is None else self._process.pid

    def __enter__(self) -> Self:
        job = Job(os.getpid(), self._orders, str(self.log))
        process = self._process = self._started()
        try:
            self._exchange(job.line(), "ready", START_TIMEOUT_S)
        except BaseException:
            process.kill()  # or it would take the closing pipe for our death
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except EmgsimError as failure:
            if error is None:
                raise
            error.add_note(f"  and {failure.what}")

    def lease(self, seconds: float) -> None:
        """Ask leave to be energised for so long from now on; a new lease replaces the last one.

        The guard kills this process and switches off when the time is over before `release`.

        Raises
        ------
        ValueError
            If the seconds are no positive, finite number.
        SafetyError
            If the guard is gone or does not answer: nothing may be energised then.
        """
        if not 0 < seconds < math.inf:
            raise ValueError(f"a lease must be positive and finite, got {seconds:g} s")
        self.check()
        self._is_leased = True  # from here on it may be, whether the answer comes or not
        self._exchange(f"lease {float(seconds)!r}\n", "leased", ANSWER_TIMEOUT_S)

    def release(self) -> None:
        """Give the lease back, the outputs having been confirmed off.

        Raises
        ------
        SafetyError
            If the guard is gone or does not answer: it may not have watched all the time.
        """
        self._exchange("release\n", "released", ANSWER_TIMEOUT_S)
        self._is_leased = False

    def check(self) -> None:
        """Refuse to go on without a guard; cheap enough for every trigger.

        Raises
        ------
        SafetyError
            If the guard is gone, or failed to answer before.
        """
        if self._trouble:
            raise self._refusal(self._trouble)
        if self._process is None:
            raise self._refusal("is not running")
        if self._process.poll() is not None:
            raise self._refusal(f"has ended, with status {self._process.returncode}")

    def close(self) -> None:
        """Part from the guard; under a lease it switches the outputs off first.

        Raises
        ------
        SafetyError
            If there was a lease, and the outputs could not be confirmed off.
        """
        if self._process is None:
            return
        tried_s = max((order.timeout_s for order in self._orders), default=0.0)
        longest_s = tried_s + 2 * GRACE_S + ANSWER_TIMEOUT_S
        heard = "nothing"
        try:
            heard = self._ask("bye\n", longest_s)
            while heard in LATE:  # an answer that was given up
                heard = self._line(longest_s)
        except SafetyError:
            pass
        self._end()
        if self._is_leased and heard != "off":
            raise SafetyError(
                f"the guard could not confirm that the outputs are off, it said {heard!r}",
                where=self._where,
                todo="switch the outputs off by hand now, then look into the guard's log",
            )

    @property
    def _where(self) -> str:
        return f"python -m {MODULE}, log {self.log}"

    def _started(self) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(  # noqa: S603 - our own package, no shell
                [sys.executable, "-m", MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                pass_fds=self._pass_fds,
                start_new_session=True,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # PyVISA brings numpy along
            )
        except OSError as error:
            raise self._refusal(f"cannot be started: {error}") from error

    def _exchange(self, message: str, wanted: str, timeout_s: float) -> None:
        self.check()
        heard = self._ask(message, timeout_s)
        if heard != wanted:
            self._trouble = f"should have answered {wanted!r}, said {heard!r}"
            raise self._refusal(self._trouble)

    def _ask(self, message: str, timeout_s: float) -> str:
        """Send a line and return the line that comes back."""
        with self._turn:
            process = self._process
            if process is None or process.stdin is None:
                raise self._refusal("is not running")
            try:
                process.stdin.write(message.encode())
            except OSError as error:
                self._trouble = f"hears nothing any more: {error}"
                raise self._refusal(self._trouble) from error
            return self._line(timeout_s)

    def _line(self, timeout_s: float) -> str:
        if self._process is None or self._process.stdout is None:
            raise self._refusal("is not running")
        descriptor = self._process.stdout.fileno()
        ends_s = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            left_s = max(0.0, ends_s - time.monotonic())
            ready, _, _ = select.select([descriptor], [], [], left_s)
            chunk = os.read(descriptor, 4096) if ready else b""
            if not chunk:
                # Whatever it says later would be taken for the answer to something else.
                self._trouble = "has ended" if ready else f"did not answer within {timeout_s:g} s"
                raise self._refusal(self._trouble)
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode("ascii", "replace")

    def _refusal(self, what: str) -> SafetyError:
        return SafetyError(
            f"the guard process {what}; nothing may be energised without it",
            where=self._where,
            todo="see its message above and its log; then begin a new run",
        )

    def _end(self) -> None:
        """Close the pipes and wait for the process; one that does not end is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
