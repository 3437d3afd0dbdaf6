"""Carries SCPI messages over PyVISA and turns every foreign exception into an emgsim error.

What pyvisa-py 0.8 does and this module absorbs:

- A raw socket that is refused opens without complaint; the first write fails.
- When the peer has gone, a read spins until the time-out, and ``clear`` would spin for ever.
- After a time-out the next query would return the late answer of the last one.
- A raw-socket write ignores the time-out, so a peer that stops reading would block for ever.
- Closing the resource manager closes the sessions of everybody, so the last one out closes it.
"""

from __future__ import annotations

import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

import numpy as np
import pyvisa
from numpy.typing import NDArray
from pyvisa.constants import InterfaceType, StatusCode
from pyvisa.resources import MessageBasedResource

from emgsim.errors import EmgsimError, InstrumentError, LinkError
from emgsim.instruments.scpi import Block, ScpiLink

BACKEND = "@py"
SILENCE_MS = 100  # a line that is silent for so long has nothing stale left
MAX_STALE_READS = 100


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
        self._is_out_of_step = False
        self._session: MessageBasedResource | None = None
        with self._as_our_errors("open"):
            self._manager, self._session = _open(address, timeout_s)
        _limit_writes(self._socket(), upload_timeout_s)

    def ask(self, message: str, *, timeout_s: float | None = None) -> str:
        """Send a query and return its answer without the line end."""
        with self._exchange(message, timeout_s or self.timeout_s) as session:
            session.write(message)
            return str(session.read()).strip()

    def tell(self, message: str) -> None:
        """Send a command that has no answer."""
        with self._exchange(message, self.timeout_s) as session:
            session.write(message)

    def tell_block(self, header: str, values: Block) -> int:
        """Send header and values as one definite-length block, and return the payload bytes."""
        with self._exchange(header, self.upload_timeout_s) as session:
            session.write_binary_values(header, values, datatype=_datatype(values))  # type: ignore[arg-type]
        return values.nbytes

    def ask_block(self, message: str) -> NDArray[np.uint16]:
        """Send a query and return its definite-length block, little-endian 16-bit words."""
        with self._exchange(message, self.upload_timeout_s) as session:
            words = session.query_binary_values(message, datatype="H", container=np.ndarray)
        return np.asarray(words, dtype=np.uint16)

    def close(self) -> None:
        """Give the session back, and the resource manager with it when nobody else uses it."""
        session, self._session = self._session, None
        if session is None:
            return
        with suppress(pyvisa.Error, OSError):  # a dead peer must not keep us from closing
            session.close()
        if not self._manager.list_opened_resources():
            self._manager.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextmanager
    def _exchange(self, message: str, timeout_s: float) -> Iterator[MessageBasedResource]:
        if self._session is None:
            raise LinkError(f"the link is closed, {message!r} was not sent", where=self.address)
        with self._as_our_errors(message):
            if self._is_out_of_step:
                self._step_in()
            self._session.timeout = 1000.0 * timeout_s
            yield self._session

    @contextmanager
    def _as_our_errors(self, message: str) -> Iterator[None]:
        try:
            yield
        except EmgsimError:
            raise
        except Exception as error:  # back ends raise even bare Exception
            raise self._translated(error, message) from error

    def _translated(self, error: Exception, message: str) -> InstrumentError:
        """Say in our words what went wrong, and bring the link back into step."""
        if self._session is None:
            return LinkError(
                f"cannot open the link: {_told(error)}",
                where=self.address,
                todo="check address, cable and power, and that nobody else holds the instrument",
            )
        self._is_out_of_step = True
        if isinstance(error, OSError) or self._is_hung_up():
            return LinkError(
                f"the link broke at {message!r}: the instrument hung up or nothing listens there"
                f" ({_told(error)})",
                where=self.address,
                todo="check power and cable, then open the instrument anew",
            )
        if getattr(error, "error_code", None) == StatusCode.error_timeout:
            waited = _seconds(self._session.timeout)
            with suppress(Exception):  # the time-out is the news, not what clearing up meets
                self._drain()
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

    def _step_in(self) -> None:
        """Throw away what came too late to be an answer since the last failure."""
        if not self._drain():
            raise LinkError(
                "the instrument keeps talking without being asked",
                where=self.address,
                todo="switch it off and on, then open it anew",
            )
        self._is_out_of_step = False

    def _drain(self) -> bool:
        """Read until the line is silent, and tell whether it fell silent."""
        session = self._session
        if session is None:
            return True
        if session.interface_type == InterfaceType.tcpip and self._socket() is None:
            session.clear()  # HiSLIP and VXI-11 have a real device clear
            return True
        session.timeout = SILENCE_MS
        for _ in range(MAX_STALE_READS):
            try:
                session.read_raw()
            except (pyvisa.Error, OSError):
                return True
        return False

    def _socket(self) -> socket.socket | None:
        """Return the socket of a raw-socket session; pyvisa-py offers no public way to it."""
        session = self._session
        if session is None:
            return None
        inner = getattr(session.visalib, "sessions", {}).get(session.session)
        raw = getattr(inner, "interface", None)
        return raw if isinstance(raw, socket.socket) else None

    def _is_hung_up(self) -> bool:
        raw = self._socket()
        if raw is None:
            return False
        try:
            return raw.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


def _open(address: str, timeout_s: float) -> tuple[pyvisa.ResourceManager, MessageBasedResource]:
    with warnings.catch_warnings():
        # pyvisa-py tells that discovery is limited without extra packages; nothing is discovered
        warnings.filterwarnings("ignore", message=".*resource discovery.*")
        manager = pyvisa.ResourceManager(BACKEND)
    try:
        session = manager.open_resource(address, open_timeout=int(1000 * timeout_s))
        if not isinstance(session, MessageBasedResource):
            session.close()
            raise LinkError(
                f"{address} is no message-based resource, got {type(session).__name__}",
                where=address,
                todo="use an INSTR or SOCKET resource name",
            )
    except Exception:
        if not manager.list_opened_resources():
            manager.close()
        raise
    session.read_termination = session.write_termination = "\n"
    return manager, session


def _limit_writes(raw: socket.socket | None, timeout_s: float) -> None:
    """Make the kernel break a connection whose peer takes no bytes for so long."""
    if raw is None:
        return
    with suppress(OSError):  # an unconnected socket fails at its first write, with a better error
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * timeout_s))


def _datatype(values: Block) -> str:
    return {"i": "h", "u": "H"}[values.dtype.kind]


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _seconds(timeout_ms: float) -> str:
    return f"{timeout_ms / 1000:g} s"
