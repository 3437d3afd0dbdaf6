"""Carries SCPI messages over PyVISA and turns every foreign exception into an emgsim error.

Works on HiSLIP, VXI-11, raw sockets and serial lines. What pyvisa-py 0.8 and the wires do, and this
module absorbs, besides what stands in `emgsim.instruments.visa_session`:

- A raw socket that is refused opens without complaint; the first write fails.
- After a time-out the next query would return the late answer of the last one. HiSLIP and VXI-11
  have a device clear, which HiSLIP's client fails at when an answer has just come; on a stream one
  reads until the line is silent, and then on up to an answer that can be told from all others.
- A block that ends early makes PyVISA's own reader spin for ever on HiSLIP.
- A connection that broke stays broken. Here the next message opens it anew, since that message may
  be the one that switches the output off.
- Closing the resource manager closes the sessions of everybody, so the last one out closes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

import pyvisa
from pyvisa.constants import StatusCode
from pyvisa.resources import MessageBasedResource

from emgsim.errors import EmgsimError, InstrumentError, LinkError
from emgsim.instruments.scpi import Block, ScpiLink, block_header, block_length
from emgsim.instruments.visa_session import is_raw_socket, open_session, read_stream, sockets_of

SILENCE_MS = 100  # a line that is silent for so long has nothing stale left
MAX_STALE_READS = 100
MAX_CLEARS = 3  # HiSLIP: one fails for each answer that comes in between
CHUNK_BYTES = 1 << 20
IDENTITY = "*IDN?"


class VisaLink(ScpiLink):
    """Holds one open PyVISA message session.

    Parameters
    ----------
    address
        VISA resource name, for example ``TCPIP::127.0.0.1::5025::SOCKET``.
    timeout_s
        Longest wait for one answer.
    upload_timeout_s
        Longest wait for a block to be taken.

    Raises
    ------
    LinkError
        When nothing can be opened at the address.
    """

    def __init__(
        self, address: str, *, timeout_s: float = 5.0, upload_timeout_s: float = 60.0
    ) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self.upload_timeout_s = upload_timeout_s
        self._is_closed = self._is_out_of_step = False
        self._identity = ""
        self._session: MessageBasedResource | None = None
        with self._as_our_errors("open"):
            self._open()

    def ask(self, message: str, *, timeout_s: float | None = None) -> str:
        """Send a query and return its answer without the line end."""
        with self._exchange(message, timeout_s or self.timeout_s) as session:
            session.write(message)
            answer = str(session.read()).strip()
            while not answer and not _marks_ends(session):  # a block that ended by two line feeds
                answer = str(session.read()).strip()
        if message == IDENTITY:
            self._identity = answer
        return answer

    def tell(self, message: str) -> None:
        """Send a command that has no answer."""
        with self._exchange(message, self.timeout_s) as session:
            session.write(message)

    def tell_block(self, header: str, values: Block) -> int:
        """Send header and values as one definite-length block, and return the payload bytes."""
        with self._exchange(header, self.upload_timeout_s) as session:
            prefix = f"{header}{block_header(values.nbytes)}".encode("ascii")
            session.write_raw(b"".join((prefix, values.tobytes(), b"\n")))
        return values.nbytes

    def tell_bytes(self, header: str, payload: bytes) -> int:
        """Send header and bare bytes as one message, and return the number of payload bytes."""
        with self._exchange(header, self.upload_timeout_s) as session:
            end = b"" if _marks_ends(session) else b"\n"
            session.write_raw(b"".join((header.encode("ascii"), payload, end)))
        return len(payload)

    def ask_bytes(self, message: str) -> bytes:
        """Send a query and return the bytes of its definite-length block."""
        with self._exchange(message, self.upload_timeout_s) as session:
            session.write(message)
            if _marks_ends(session):
                return self._payload(message, _read_message(session))
            head = _read(session, 2, self.upload_timeout_s)
            while head.startswith(b"\n"):  # of the block before, see `ask`
                head = head[1:] + _read(session, 1, self.upload_timeout_s)
            if head[1:].isdigit():
                head += _read(session, int(head[1:]), self.upload_timeout_s)
            length = block_length(head, message, self.address)
            body = read_stream(session, length + 1, self.upload_timeout_s)  # and the line feed
            return self._payload(message, head + body)

    def close(self) -> None:
        """Give the session back, and the resource manager with it when nobody else uses it."""
        self._is_closed = True
        self._give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- the session

    def _open(self) -> MessageBasedResource:
        self._manager, session = open_session(
            self.address, timeout_s=self.timeout_s, write_timeout_s=self.upload_timeout_s
        )
        self._session = session
        return session

    def _give_back(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        with suppress(pyvisa.Error, OSError):  # a dead peer must not keep us from closing
            session.close()
        if not self._manager.list_opened_resources():
            self._manager.close()

    def _open_anew(self) -> MessageBasedResource:
        """Open a link that broke, for the sake of an output that is to be switched off.

        That it broke was told. Who answers now must be who answered then.
        """
        session = self._open()
        self._is_out_of_step = False
        try:
            self._refuse_another(session)
        except BaseException:
            self._give_back()
            raise
        return session

    def _refuse_another(self, session: MessageBasedResource) -> None:
        if not self._identity:
            return
        session.timeout = 1000.0 * self.timeout_s
        session.write(IDENTITY)
        answer = str(session.read()).strip()
        if answer != self._identity:
            raise InstrumentError(
                f"after the link broke, {answer} answers in place of {self._identity}",
                where=self.address,
                todo="look what is at this address now, and begin a new run",
            )

    # ---- one exchange

    @contextmanager
    def _exchange(self, message: str, timeout_s: float) -> Iterator[MessageBasedResource]:
        if self._is_closed:
            raise LinkError(f"the link is closed, {message!r} was not sent", where=self.address)
        with self._as_our_errors(message):
            session = self._session or self._open_anew()
            if any(watched.has_ended() for watched in sockets_of(session)):
                raise ConnectionResetError("the stream has ended")
            if self._is_out_of_step:
                self._step_in(session, timeout_s)
            session.timeout = 1000.0 * timeout_s
            yield session

    def _payload(self, message: str, answer: bytes) -> bytes:
        """Return what a block holds; one that is cut short is refused."""
        length = block_length(answer, message, self.address)
        start = 2 + int(answer[1:2])
        payload = answer[start : start + length]
        if len(payload) < length:
            raise InstrumentError(
                f"the answer to {message} is cut short: {len(payload)} of {length} bytes came",
                where=self.address,
                todo="ask again; if it stays so, look for the instrument's firmware updates",
            )
        return payload

    # ---- errors

    @contextmanager
    def _as_our_errors(self, message: str) -> Iterator[None]:
        try:
            yield
        except EmgsimError:
            self._is_out_of_step = True
            raise
        except Exception as error:  # back ends raise even bare Exception
            raise self._translated(error, message) from error

    def _translated(self, error: Exception, message: str) -> InstrumentError:
        """Say in our words what went wrong, and bring the link back into step."""
        session = self._session
        if session is None:
            return LinkError(
                f"cannot open the link: {_told(error)}",
                where=self.address,
                todo="check address, cable and power, and that nobody else holds the instrument",
            )
        self._is_out_of_step = True
        if isinstance(error, TimeoutError):
            waited = _seconds(session.timeout)
            self._give_back()
            return LinkError(
                f"the instrument took no more of {message!r} within {waited}",
                where=self.address,
                todo="switch it off and on, then open it anew",
            )
        if isinstance(error, OSError) or any(link.has_ended() for link in sockets_of(session)):
            self._give_back()
            return LinkError(
                f"the link broke at {message!r}: the instrument hung up or nothing listens there"
                f" ({_told(error)})",
                where=self.address,
                todo="check power and cable, then open the instrument anew",
            )
        if getattr(error, "error_code", None) == StatusCode.error_timeout:
            waited = _seconds(session.timeout)
            with suppress(Exception):  # the time-out is the news, not what clearing up meets
                _drain(session)
            return LinkError(
                f"no complete answer to {message!r} within {waited}",
                where=self.address,
                todo="check that the instrument knows this command, or raise the time-out",
            )
        return InstrumentError(
            f"the exchange {message!r} failed: {_told(error)}",
            where=self.address,
            todo="check that the address belongs to the instrument that the rig file names",
        )

    # ---- after a failure

    def _step_in(self, session: MessageBasedResource, timeout_s: float) -> None:
        """Throw away what came too late to be an answer since the last failure."""
        is_silent = _drain(session)
        if is_silent and self._identity and not _marks_ends(session):
            self._read_up_to_identity(session, timeout_s)
            is_silent = _drain(session)
        if not is_silent:
            raise LinkError(
                "the instrument keeps talking without being asked",
                where=self.address,
                todo="switch it off and on, then open it anew",
            )
        self._is_out_of_step = False

    def _read_up_to_identity(self, session: MessageBasedResource, timeout_s: float) -> None:
        """Ask for the identity, and read on until it comes: no older answer is owed any more.

        An answer may be later than any silence that one could wait for. Answers come in the order
        of their questions, so what comes before the identity belongs to older ones.
        """
        session.timeout = 1000.0 * timeout_s
        session.write(IDENTITY)
        for _ in range(MAX_STALE_READS):
            if bytes(session.read_raw()).strip() == self._identity.encode("ascii"):
                return


def _drain(session: MessageBasedResource) -> bool:
    """Read until the line is silent, and tell whether it fell silent."""
    if _marks_ends(session):
        return _clear(session)
    session.timeout = SILENCE_MS
    for _ in range(MAX_STALE_READS):
        try:
            session.read_raw()
        except (pyvisa.Error, OSError):
            return True
    return False


def _clear(session: MessageBasedResource) -> bool:
    """Send a device clear; HiSLIP's own ends in an error when an answer comes in between."""
    for _ in range(MAX_CLEARS):
        try:
            session.clear()
        except RuntimeError:
            continue
        return True
    return False


def _read_message(session: MessageBasedResource) -> bytes:
    """Return a message up to the mark of its end, whatever bytes are in it."""
    session.read_termination = None  # or each line feed of the data ends a read
    try:
        return bytes(session.read_raw(CHUNK_BYTES))
    finally:
        session.read_termination = "\n"


def _read(session: MessageBasedResource, n_bytes: int, timeout_s: float) -> bytes:
    """Return so many bytes of a stream; that they do not come in time is an error."""
    found = read_stream(session, n_bytes, timeout_s)
    if len(found) < n_bytes:
        raise pyvisa.VisaIOError(StatusCode.error_timeout)
    return found


def _marks_ends(session: MessageBasedResource) -> bool:
    """Tell whether the wire itself marks where a message ends: HiSLIP and VXI-11 do."""
    return bool(sockets_of(session)) and not is_raw_socket(session)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _seconds(timeout_ms: float) -> str:
    return f"{timeout_ms / 1000:g} s"
