"""VisaLink against a tiny raw-socket instrument that misbehaves on purpose."""

import gc
import logging
import os
import socket
import threading
import time
import warnings

import numpy as np
import pytest

from emgsim.errors import InstrumentError, LinkError
from emgsim.instruments.transport import VisaLink

TIMEOUT_S = 0.2


def lines(connection):
    """Yield the lines of a connection until its end."""
    with connection.makefile("rb") as stream:
        yield from (line.strip().decode() for line in stream)


def repeat(connection, stop):
    """Answer each query with itself."""
    for line in lines(connection):
        if line.endswith("?"):
            connection.sendall(f"{line}\n".encode())


def linked(address, **options):
    """Open a link with the short time-out of these tests."""
    return VisaLink(address, **{"timeout_s": TIMEOUT_S, "upload_timeout_s": 0.5} | options)


def test_answers_come_without_their_line_end(serve):
    """An answer is the text between the query and the line feed."""
    with serve(repeat) as address, linked(address) as link:
        link.tell("*CLS")
        assert link.ask("*IDN?") == "*IDN?"


def test_a_silent_instrument_is_a_link_error_that_names_query_and_address(serve):
    """A time-out says what was asked, where, and for how long it waited."""
    with serve(lambda _, stop: stop.wait(5)) as address, linked(address) as link:
        with pytest.raises(LinkError, match=r"no complete answer to '\*IDN\?' within 0.2 s") as e:
            link.ask("*IDN?")
        assert e.value.where == address


def test_a_stale_answer_is_never_taken_for_the_next_one(serve):
    """An answer that comes after its time-out is thrown away before the next query."""

    def answer_late(connection, stop):
        for number, line in enumerate(lines(connection)):
            if number == 0:
                stop.wait(TIMEOUT_S + 0.15)  # after the first drain, too
            connection.sendall(f"{line}\n".encode())

    with serve(answer_late) as address, linked(address) as link:
        with pytest.raises(LinkError):
            link.ask("FIRST?")
        time.sleep(0.1)  # the late answer is on the wire by now
        assert link.ask("SECOND?") == "SECOND?"


def test_an_instrument_that_never_stops_talking_is_refused(serve):
    """A link that cannot be brought into step says so instead of returning old lines."""

    def talk(connection, stop):
        while not stop.wait(0.001):
            try:
                connection.sendall(b"x\n")
            except OSError:
                return

    def talk_without_line_end(connection, stop):
        connection.sendall(b"x")
        stop.wait(TIMEOUT_S + 0.05)
        talk(connection, stop)

    with serve(talk_without_line_end) as address, linked(address) as link:
        with pytest.raises(LinkError):
            link.ask("FIRST?")
        with pytest.raises(LinkError, match="keeps talking"):
            link.ask("SECOND?")


def test_a_hang_up_is_told_from_a_time_out(serve):
    """A peer that closed the connection is reported as gone, and soon."""

    def hang_up(connection, stop):
        connection.recv(100)

    with serve(hang_up) as address, linked(address) as link:
        with pytest.raises(LinkError, match="hung up"):
            link.ask("*IDN?")
        with pytest.raises(LinkError, match="no complete answer"):  # it was opened anew
            link.ask("*IDN?")


def test_nobody_listening_is_a_link_error():
    """A refused connection is reported at the first exchange at the latest."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (
        pytest.raises(LinkError, match=r"nothing listens|cannot open"),
        linked(f"TCPIP::127.0.0.1::{port}::SOCKET") as link,
    ):
        link.ask("*IDN?")


def test_nobody_listening_for_hislip_is_a_link_error_at_opening(caplog):
    """HiSLIP connects at once, so its refusal is met by the constructor."""
    caplog.set_level(logging.CRITICAL, "pyvisa")  # its record would keep the dead socket alive
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with warnings.catch_warnings():
        # pyvisa-py leaves its unconnected socket to the collector
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(LinkError, match="cannot open the link"):
            linked(f"TCPIP::127.0.0.1::hislip0,{port}::INSTR")
        gc.collect()


def test_a_nonsense_address_is_a_link_error():
    """A resource name that VISA cannot read is reported with the name."""
    with pytest.raises(LinkError) as e:
        linked("NOT::AN::ADDRESS::AT::ALL")
    assert e.value.where == "NOT::AN::ADDRESS::AT::ALL"


def test_a_peer_that_takes_no_bytes_cannot_block_an_upload_for_ever(serve):
    """An upload into a full pipe ends with a link error after the upload time-out."""
    codes = np.zeros(8_000_000, np.int16)
    with serve(lambda _, stop: stop.wait(10)) as address, linked(address) as link:
        began_s = time.monotonic()
        with pytest.raises(LinkError):
            link.tell_block("DATA x,", codes)
        assert time.monotonic() - began_s < 5.0


def test_blocks_go_both_ways_unchanged(serve):
    """Any 16-bit words, line feeds among them, survive the way there and back."""
    codes = np.arange(-5000, 5000, dtype=np.int16)
    codes[:3] = 0x0A0A
    block = b"#520000" + codes.astype("<i2").tobytes()
    message = b"DATA x," + block + b"\n"

    def keep(connection, stop):
        with connection.makefile("rb") as stream:
            assert stream.read(len(message)) == message
            assert stream.readline() == b"DATA?\n"
        connection.sendall(block + b"\n")
        repeat(connection, stop)

    with serve(keep) as address, linked(address) as link:
        assert link.tell_block("DATA x,", codes) == 20000
        np.testing.assert_array_equal(link.ask_block("DATA?").view(np.int16), codes)
        assert link.ask("NEXT?") == "NEXT?"


def test_a_block_that_is_none_is_an_instrument_error_and_the_link_recovers(serve):
    """Garbage in place of a block does not spoil the next exchange."""

    def babble(connection, stop):
        connection.recv(100)
        connection.sendall(b"no block at all\n")
        repeat(connection, stop)

    with serve(babble) as address, linked(address) as link:
        with pytest.raises(InstrumentError):
            link.ask_block("DATA?")
        assert link.ask("NEXT?") == "NEXT?"


def test_an_answer_that_is_no_text_is_an_instrument_error(serve):
    """Bytes beyond ASCII are reported, not returned."""

    def babble(connection, stop):
        connection.recv(100)
        connection.sendall(b"\xff\xfe\n")
        stop.wait(5)

    with (
        serve(babble) as address,
        linked(address) as link,
        pytest.raises(InstrumentError, match="exchange"),
    ):
        link.ask("*IDN?")


def test_a_closed_link_refuses_and_closes_again(serve):
    """After close every exchange is a link error, and close may be called twice."""
    with serve(repeat) as address:
        link = linked(address)
        link.close()
        link.close()
        with pytest.raises(LinkError, match="closed"):
            link.ask("*IDN?")


def test_closing_one_link_leaves_another_open(serve):
    """The resource manager is shared, so only the last link closes it."""
    with serve(repeat) as one, serve(repeat) as two:
        first, second = linked(one), linked(two)
        first.ask("*IDN?")
        first.close()
        assert second.ask("*IDN?") == "*IDN?"
        second.close()


def test_nothing_is_left_after_close(serve):
    """Neither descriptor nor thread nor resource manager outlives a link, good or failed."""

    def use():
        with serve(repeat) as address, linked(address) as link:
            link.ask("*IDN?")
        with pytest.raises(LinkError):
            linked("NOT::AN::ADDRESS")

    use()  # imports and caches
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(5):
        use()
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before
