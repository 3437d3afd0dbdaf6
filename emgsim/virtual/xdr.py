"""Read and write Sun RPC calls (RFC 5531) and what they carry (XDR, RFC 4506)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

CALL, REPLY = 0, 1
RPC_VERSION = 2
PROGRAM_UNAVAILABLE, PROGRAM_MISMATCH, PROCEDURE_UNAVAILABLE, GARBAGE_ARGUMENTS = 1, 2, 3, 4
_MAX_AUTH_BYTES = 400


class XdrError(ValueError):
    """Bytes are not what the protocol says."""


class Unpacker:
    """Read values one after the other.

    Parameters
    ----------
    data
        What was received.
    """

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def integers(self, n: int) -> tuple[int, ...]:
        """Return `n` unsigned integers.

        Raises
        ------
        XdrError
            If fewer are left.
        """
        return struct.unpack(f">{n}I", self._take(4 * n))

    def opaque(self, longest: int) -> bytes:
        """Return bytes of variable length; raise `XdrError` if they are too many, or missing."""
        (length,) = self.integers(1)
        if length > longest:
            raise XdrError(f"at most {longest} bytes, got {length}")
        found = bytes(self._take(length))
        self._take(-length % 4)
        return found

    def _take(self, n_bytes: int) -> memoryview:
        end = self._at + n_bytes
        if end > len(self._data):
            raise XdrError(f"{end - len(self._data)} bytes are missing")
        found, self._at = self._data[self._at : end], end
        return found


def pack_opaque(data: bytes) -> bytes:
    """Return bytes of variable length with their length before them."""
    return len(data).to_bytes(4) + data + bytes(-len(data) % 4)


@dataclass(frozen=True, slots=True)
class RpcCall:
    """Hold one call: who asks, for which procedure, and its arguments."""

    number: int
    program: int
    version: int
    procedure: int
    arguments: Unpacker


def read_call(record: bytes) -> RpcCall:
    """Return the call in a record; whoever it says it comes from is believed.

    Raises
    ------
    XdrError
        If it is not a call of RPC version 2.
    """
    unpacker = Unpacker(record)
    number, kind, rpc_version, program, version, procedure = unpacker.integers(6)
    if (kind, rpc_version) != (CALL, RPC_VERSION):
        raise XdrError("a call of RPC version 2 is needed")
    for _ in ("credentials", "verifier"):
        unpacker.integers(1)
        unpacker.opaque(_MAX_AUTH_BYTES)
    return RpcCall(number, program, version, procedure, unpacker)


def accepted(number: int, results: bytes) -> bytes:
    """Return the record of an answer."""
    return struct.pack(">6I", number, REPLY, 0, 0, 0, 0) + results


def unaccepted(number: int, status: int, version: int = 0) -> bytes:
    """Return the record of an answer to a call that cannot be carried out, and why."""
    record = struct.pack(">6I", number, REPLY, 0, 0, 0, status)
    return record + (struct.pack(">2I", version, version) if status == PROGRAM_MISMATCH else b"")
