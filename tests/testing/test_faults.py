"""Each fault between two plain sockets, in each direction, by the bytes that come out."""

from __future__ import annotations

import random
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from support.running import open_descriptors
from wsclient.testing.faults import Connection, Ending, FaultProxy, Flow, Line, Way

WAIT = 5.0
"""Seconds after which a socket that should say something has failed to."""
SILENCE = 0.15
"""Seconds of silence that are taken for silence."""
SLACK = 1.0
"""Seconds that a busy machine may add to what should take less."""


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Every test ends with the threads and sockets with which it began."""
    threads, descriptors = set(threading.enumerate()), open_descriptors()
    yield
    assert set(threading.enumerate()) == threads
    assert open_descriptors() == descriptors


@dataclass
class Bench:
    """A client and a server, connected through a proxy, seen from one direction."""

    proxy: FaultProxy
    client: socket.socket
    server: socket.socket
    way: Way

    @property
    def sender(self) -> socket.socket:
        return self.server if self.way == "to_client" else self.client

    @property
    def receiver(self) -> socket.socket:
        return self.client if self.way == "to_client" else self.server

    @property
    def here(self) -> Any:
        return getattr(self.proxy, self.way)

    @property
    def back(self) -> Any:
        return self.proxy.to_server if self.way == "to_client" else self.proxy.to_client

    @property
    def flow(self) -> Flow:
        found: Flow = getattr(self.proxy.connections[0], self.way)
        return found

    @property
    def ended(self) -> Ending | None:
        return self.proxy.connections[0].ended


@contextmanager
def target() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT)
        yield listener


@contextmanager
def bench(way: Way = "to_client", **options: Any) -> Iterator[Bench]:
    with (
        target() as listener,
        FaultProxy(listener.getsockname(), **options) as proxy,
        socket.create_connection(proxy.address, WAIT) as client,
        listener.accept()[0] as server,
    ):
        server.settimeout(WAIT)
        # Rules for a place in the stream are made when both ends are connected.
        yield Bench(proxy, client, server, way)


def read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        assert chunk, f"ended after {data!r}"
        data += chunk
    return data


def read_to_end(sock: socket.socket) -> tuple[bytes, str]:
    """Return all that comes, and whether FIN or RST came behind it."""
    data = b""
    try:
        while chunk := sock.recv(65536):
            data += chunk
    except ConnectionResetError:
        return data, "RST"
    return data, "FIN"


def connect_to_be_reset(proxy: FaultProxy) -> None:
    """Connect where RST comes at once: perhaps before the system says that it has connected."""
    try:
        with socket.create_connection(proxy.address, WAIT) as client:
            assert read_to_end(client) == (b"", "RST")
    except ConnectionResetError:
        pass


def is_silent(sock: socket.socket) -> bool:
    before = sock.gettimeout()
    sock.settimeout(SILENCE)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(before)
    return False


def fill(sock: socket.socket) -> int:
    """Send until the sender has been blocked for a while; return how much that was."""
    before = sock.gettimeout()
    sock.settimeout(SILENCE)
    sent = 0
    try:
        while sent < 256 * 1048576:
            sent += sock.send(bytes(65536))
    except TimeoutError:
        pass
    finally:
        sock.settimeout(before)
    return sent


ways = pytest.mark.parametrize("way", ["to_client", "to_server"])
DATA = bytes(range(256)) * 4


# No faults


@ways
def test_bytes_pass_as_they_are(way: Way) -> None:
    data = random.Random(1).randbytes(3_000_000)
    with bench(way) as b:
        sending = threading.Thread(target=b.sender.sendall, args=(data,))
        sending.start()
        assert read(b.receiver, len(data)) == data
        sending.join()
        assert (b.flow.taken, b.flow.passed) == (len(data), len(data))
        assert b.here.passed == len(data)
        assert b.back.passed == 0


@ways
def test_fin_passes_as_fin_and_the_other_direction_goes_on(way: Way) -> None:
    with bench(way) as b:
        b.sender.sendall(b"the last")
        b.sender.shutdown(socket.SHUT_WR)
        assert read_to_end(b.receiver) == (b"the last", "FIN")
        b.receiver.sendall(b"still here")
        assert read(b.sender, 10) == b"still here"
        assert b.ended is None
        b.receiver.shutdown(socket.SHUT_WR)
        assert read_to_end(b.sender) == (b"", "FIN")
        (seen,) = b.proxy.wait_until(lambda seen: seen[0].ended)
        assert seen.ended is Ending.CLOSED


@ways
def test_rst_passes_as_rst(way: Way) -> None:
    with bench(way) as b:
        b.sender.sendall(b"before")
        assert read(b.receiver, 6) == b"before"
        b.sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        b.sender.close()
        assert read_to_end(b.receiver) == (b"", "RST")
        assert b.ended is (Ending.SERVER_RESET if way == "to_client" else Ending.CLIENT_RESET)


@ways
def test_rst_passes_when_writing_is_what_finds_it(way: Way) -> None:
    # The reset end has said FIN before, so that reading finds nothing any more.
    with bench(way) as b:
        b.receiver.shutdown(socket.SHUT_WR)
        assert read_to_end(b.sender) == (b"", "FIN")
        b.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        b.receiver.close()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(500):
                b.sender.sendall(b"x")
                time.sleep(0.01)
        lost = Ending.CLIENT_RESET if way == "to_client" else Ending.SERVER_RESET
        assert b.ended is lost


@ways
def test_rst_passes_when_writing_finds_it_first_behind_unread_bytes(way: Way) -> None:
    with bench(way) as b:
        sent = fill(b.receiver)
        b.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        b.receiver.close()
        b.sender.sendall(b"x")
        b.proxy.wait_until(lambda seen: getattr(seen[0], way).taken == 1)
        data, end = read_to_end(b.sender)
        assert end == "RST"
        # RST discards what the system had not sent.
        assert 0 < len(data) <= sent


def test_target_that_refuses_is_a_reset_for_the_client(closed_port: int) -> None:
    with FaultProxy(("127.0.0.1", closed_port)) as proxy:
        connect_to_be_reset(proxy)
        (seen,) = proxy.wait_until(lambda seen: seen and seen[0].ended)
    assert (seen.ended, seen.error) == (Ending.REFUSED, "Connection refused")


def test_target_whose_name_is_unknown_is_a_reset_for_the_client() -> None:
    with FaultProxy("ws://nowhere.invalid/") as proxy:
        connect_to_be_reset(proxy)
        (seen,) = proxy.wait_until(lambda seen: seen and seen[0].ended)
    assert seen.ended is Ending.REFUSED
    assert seen.error


def test_target_with_a_name_is_tried_at_each_of_its_addresses() -> None:
    # The name may stand for ::1 first, where nobody listens.
    with (
        target() as listener,
        FaultProxy(("localhost", listener.getsockname()[1])) as proxy,
        socket.create_connection(proxy.address, WAIT) as client,
        listener.accept()[0] as server,
    ):
        client.sendall(b"x")
        assert read(server, 1) == b"x"


def test_connections_are_numbered_and_independent() -> None:
    with bench() as b:
        with socket.create_connection(b.proxy.address, WAIT) as second:
            b.proxy.wait_until(lambda seen: len(seen) == 2)
            b.proxy.to_server.on(1).reset()
            assert read_to_end(second) == (b"", "RST")
        b.client.sendall(b"first")
        assert read(b.server, 5) == b"first"
        assert [each.index for each in b.proxy.connections] == [0, 1]
        assert [each.ended for each in b.proxy.connections] == [None, Ending.FAULT]


# The condition of the line


@ways
def test_latency_delays_each_byte_and_the_end(way: Way) -> None:
    with bench(way, **{way: Line(latency=0.1)}) as b:
        begun = time.monotonic()
        b.sender.sendall(b"x")
        assert read(b.receiver, 1) == b"x"
        assert 0.1 <= time.monotonic() - begun < 0.1 + SLACK
        begun = time.monotonic()
        b.sender.shutdown(socket.SHUT_WR)
        assert read_to_end(b.receiver) == (b"", "FIN")
        assert 0.1 <= time.monotonic() - begun < 0.1 + SLACK


@ways
def test_latency_does_not_limit_what_is_under_way(way: Way) -> None:
    with bench(way) as b:
        b.here.latency = 0.2
        begun = time.monotonic()
        for number in range(10):
            b.sender.sendall(bytes([number]))
            time.sleep(0.01)
        assert read(b.receiver, 10) == bytes(range(10))
        assert 0.2 <= time.monotonic() - begun < 0.3 + SLACK


@ways
def test_latency_is_of_one_direction_and_can_be_taken_away(way: Way) -> None:
    with bench(way) as b:
        b.here.latency = 30.0
        assert (b.here.latency, b.back.latency) == (30.0, 0.0)
        b.receiver.sendall(b"x")
        assert read(b.sender, 1) == b"x"
        b.here.latency = 0
        b.sender.sendall(b"y")
        assert read(b.receiver, 1) == b"y"


def delays(seed: int, count: int = 8) -> list[float]:
    """Return what jitter gave to one byte after the other; see that it took at least that."""
    found: list[float] = []
    with bench(to_client=Line(jitter=0.06), seed=seed) as b:
        for _ in range(count):
            before, begun = b.flow.delay, time.monotonic()
            b.sender.sendall(b"x")
            read(b.receiver, 1)
            took = time.monotonic() - begun
            found.append(b.flow.delay - before)
            assert found[-1] <= took < found[-1] + SLACK
    return found


def test_jitter_repeats_with_its_seed() -> None:
    first = delays(7)
    assert delays(7) == first
    assert delays(8) != first
    assert all(0 <= each <= 0.06 for each in first)
    assert max(first) - min(first) > 0.01


def test_jitter_keeps_the_order_of_bytes() -> None:
    with bench(to_client=Line(jitter=0.02), seed=3) as b:
        for number in range(100):
            b.sender.sendall(bytes([number]))
            time.sleep(0.001)
        assert read(b.receiver, 100) == bytes(range(100))


@ways
def test_bandwidth_is_kept(way: Way) -> None:
    size, rate = 60_000, 200_000
    with bench(way, **{way: Line(bandwidth=rate)}) as b:
        begun = time.monotonic()
        b.sender.sendall(bytes(size))
        read(b.receiver, size)
        assert size / rate <= time.monotonic() - begun < size / rate + SLACK


def test_bandwidth_can_be_lifted_while_bytes_wait() -> None:
    with bench(to_client=Line(bandwidth=10)) as b:
        b.sender.sendall(bytes(5000))
        read(b.receiver, 1)
        b.proxy.to_client.bandwidth = None
        read(b.receiver, 4999)


def test_bandwidth_can_be_raised_while_a_byte_waits() -> None:
    with bench(to_client=Line(bandwidth=0.01)) as b:
        b.sender.sendall(bytes(5000))
        assert is_silent(b.receiver)
        b.proxy.to_client.bandwidth = 1_000_000
        read(b.receiver, 5000)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the number of segments")
def test_each_write_is_a_segment() -> None:
    with bench(to_client=Line(chunk_size=1)) as b:
        # Nagle's algorithm would wait for an acknowledgement, which is late then.
        b.receiver.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        b.sender.sendall(b"12345678")
        read(b.receiver, 8)
        # tcpi_data_segs_in of struct tcp_info
        info = b.receiver.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 156)
        assert int.from_bytes(info[152:156], sys.byteorder) == 8


@ways
@pytest.mark.parametrize("size", [1, 7])
def test_chunk_size_is_the_size_of_a_write(way: Way, size: int) -> None:
    with bench(way, **{way: Line(chunk_size=size)}) as b:
        b.sender.sendall(DATA)
        assert read(b.receiver, len(DATA)) == DATA
        assert b.flow.writes == -(-len(DATA) // size)


def test_byte_by_byte_arrives_byte_by_byte() -> None:
    with bench(to_client=Line(chunk_size=1, bandwidth=200)) as b:
        b.sender.sendall(b"0123456789")
        pieces: list[bytes] = []
        while sum(len(each) for each in pieces) < 10:
            pieces.append(b.receiver.recv(100))
        assert b"".join(pieces) == b"0123456789"
        assert len(pieces) >= 8


# Holding back


@ways
def test_pause_holds_back_and_resume_lets_go_in_order(way: Way) -> None:
    with bench(way) as b:
        b.here.pause()
        b.sender.sendall(b"one")
        assert is_silent(b.receiver)
        b.sender.sendall(b"two")
        b.sender.shutdown(socket.SHUT_WR)
        b.receiver.sendall(b"the other way")
        assert read(b.sender, 13) == b"the other way"
        assert is_silent(b.receiver)
        b.here.resume()
        assert read_to_end(b.receiver) == (b"onetwo", "FIN")


@ways
def test_pause_at_a_byte_lets_exactly_those_before_it_pass(way: Way) -> None:
    with bench(way) as b:
        b.here.at(byte=100).pause()
        b.sender.sendall(DATA)
        assert read(b.receiver, 100) == DATA[:100]
        assert is_silent(b.receiver)
        assert (b.flow.taken, b.flow.passed) == (100, 100)
        b.here.at(byte=300).pause()
        b.here.resume()
        assert read(b.receiver, 200) == DATA[100:300]
        assert is_silent(b.receiver)
        b.here.resume()
        assert read(b.receiver, len(DATA) - 300) == DATA[300:]


@ways
def test_pause_meets_the_sender_with_back_pressure(way: Way) -> None:
    with bench(way) as b:
        b.here.pause()
        sent = fill(b.sender)
        assert 0 < sent < 64 * 1048576
        assert b.flow.taken == 0
        b.here.resume()
        read(b.receiver, sent)
        assert b.flow.passed == sent


@ways
def test_receiver_that_does_not_read_meets_the_sender_too(way: Way) -> None:
    with bench(way) as b:
        sent = fill(b.sender)
        assert 0 < sent < 64 * 1048576
        read(b.receiver, sent)


@ways
def test_black_hole_swallows_and_closes_nothing(way: Way) -> None:
    with bench(way) as b:
        b.sender.sendall(b"before")
        assert read(b.receiver, 6) == b"before"
        b.here.black_hole()
        for _ in range(64):
            b.sender.sendall(bytes(1_000_000))
        b.receiver.sendall(b"the other way")
        assert read(b.sender, 13) == b"the other way"
        b.sender.close()
        assert is_silent(b.receiver)
        b.proxy.wait_until(lambda seen: getattr(seen[0], way).taken == 64_000_006)
        assert (b.flow.passed, b.ended) == (6, None)


@ways
def test_black_hole_ends_with_resume(way: Way) -> None:
    with bench(way) as b:
        b.here.black_hole()
        b.sender.sendall(b"lost")
        b.proxy.wait_until(lambda seen: getattr(seen[0], way).taken == 4)
        b.here.resume()
        b.sender.sendall(b"found")
        assert read(b.receiver, 5) == b"found"


@ways
def test_black_hole_at_a_byte_until_another(way: Way) -> None:
    with bench(way) as b:
        b.here.at(byte=10).black_hole()
        b.here.at(byte=1000).resume()
        b.sender.sendall(DATA)
        assert read(b.receiver, 10 + len(DATA) - 1000) == DATA[:10] + DATA[1000:]


@ways
def test_black_hole_swallows_what_the_receiver_had_no_room_for(way: Way) -> None:
    with bench(way) as b:
        sent = fill(b.sender)
        b.here.black_hole()
        b.proxy.wait_until(lambda seen: getattr(seen[0], way).taken == sent)
        passed = b.flow.passed
        assert 0 < passed < sent
        read(b.receiver, passed)
        assert is_silent(b.receiver)


def test_half_open_both_ways() -> None:
    with bench() as b:
        b.proxy.to_client.black_hole()
        b.proxy.to_server.black_hole()
        b.client.sendall(b"x")
        b.server.sendall(b"y")
        assert is_silent(b.client)
        assert is_silent(b.server)
        assert b.ended is None


def test_what_lasts_is_for_connections_to_come() -> None:
    with target() as listener, FaultProxy(listener.getsockname()) as proxy:
        proxy.to_client.pause()
        with (
            socket.create_connection(proxy.address, WAIT) as client,
            listener.accept()[0] as server,
        ):
            server.sendall(b"x")
            assert is_silent(client)
            proxy.to_client.resume()
            assert read(client, 1) == b"x"


# Ending


@ways
@pytest.mark.parametrize("offset", [0, 1, 100, len(DATA)])
def test_truncate_ends_the_stream_after_exactly_those_bytes(way: Way, offset: int) -> None:
    with bench(way, script=[{"direction": way, "byte": offset, "fault": "truncate"}]) as b:
        b.sender.sendall(DATA)
        assert read_to_end(b.receiver) == (DATA[:offset], "FIN")
        b.receiver.sendall(b"the other way")
        assert read(b.sender, 13) == b"the other way"
        b.sender.shutdown(socket.SHUT_WR)
        b.receiver.shutdown(socket.SHUT_WR)
        assert read_to_end(b.sender) == (b"", "FIN")
        (seen,) = b.proxy.wait_until(lambda seen: seen[0].ended)
        assert seen.ended is Ending.CLOSED


@ways
@pytest.mark.parametrize("offset", [0, 1, 100, len(DATA)])
def test_reset_comes_after_exactly_those_bytes(way: Way, offset: int) -> None:
    with bench(way) as b:
        b.here.at(byte=offset).reset()
        try:
            b.sender.sendall(DATA)
        except (ConnectionResetError, BrokenPipeError):
            assert offset == 0
        assert read_to_end(b.receiver) == (DATA[:offset], "RST")
        assert b.flow.passed == offset
        assert b.ended is Ending.FAULT


@ways
def test_reset_waits_until_a_slow_receiver_has_what_comes_before(way: Way) -> None:
    size = 20_000_000
    data = random.Random(2).randbytes(size)
    with bench(way) as b:
        b.here.at(byte=size - 1).reset()

        def send() -> None:
            try:
                b.sender.sendall(data)
            except (ConnectionResetError, BrokenPipeError):
                pass

        sending = threading.Thread(target=send)
        sending.start()
        assert is_silent_but_for(b.receiver, 10_000) == data[:10_000]
        rest, end = read_to_end(b.receiver)
        sending.join()
        assert (len(rest), end) == (size - 1 - 10_000, "RST")
        assert rest == data[10_000:-1]


def is_silent_but_for(sock: socket.socket, size: int) -> bytes:
    """Read some bytes and then nothing for a while, so that the buffers fill."""
    data = read(sock, size)
    time.sleep(SILENCE)
    return data


@ways
def test_reset_of_one_end_leaves_the_other_open_and_silent(way: Way) -> None:
    with bench(way) as b:
        one = "client" if way == "to_client" else "server"
        b.here.reset(to=one)
        assert read_to_end(b.receiver) == (b"", "RST")
        b.sender.sendall(b"into nothing")
        assert is_silent(b.sender)
        assert b.ended is Ending.FAULT
        b.proxy.cut()
        assert read_to_end(b.sender) == (b"", "RST")


@ways
def test_connection_with_one_end_reset_ends_when_the_other_does(way: Way) -> None:
    with bench(way) as b:
        b.here.reset(to="client" if way == "to_client" else "server")
        assert read_to_end(b.receiver) == (b"", "RST")
        b.sender.shutdown(socket.SHUT_WR)
        assert read_to_end(b.sender) == (b"", "FIN")


def test_reset_with_unread_data_at_both_ends() -> None:
    with bench() as b:
        b.proxy.to_client.pause()
        b.proxy.to_server.pause()
        fill(b.client)
        fill(b.server)
        b.proxy.cut()
        assert read_to_end(b.client) == (b"", "RST")
        assert read_to_end(b.server) == (b"", "RST")


def test_cut_ends_all_connections() -> None:
    with bench() as b, ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(b.proxy.address, WAIT)) for _ in range(5)
        ]
        b.proxy.wait_until(lambda seen: len(seen) == 6)
        b.proxy.cut()
        for each in (*clients, b.client, b.server):
            assert read_to_end(each) == (b"", "RST")
        assert {each.ended for each in b.proxy.connections} == {Ending.FAULT}


def test_refuse_and_accept_again_on_the_same_port() -> None:
    with bench() as b:
        for _ in range(3):
            b.proxy.refuse()
            b.proxy.refuse()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(b.proxy.address, WAIT)
            b.client.sendall(b"goes on")
            assert read(b.server, 7) == b"goes on"
            b.proxy.accept_again()
            b.proxy.accept_again()
            socket.create_connection(b.proxy.address, WAIT).close()
        (*_, last) = b.proxy.wait_until(lambda seen: len(seen) == 4)
        assert last.index == 3


# Changing bytes


@ways
def test_corrupt_changes_exactly_that_byte(way: Way) -> None:
    with bench(way) as b:
        b.here.at(byte=10).corrupt()
        b.here.at(byte=500).corrupt(xor=0x81)
        b.here.at(byte=501).corrupt(value=0)
        b.here.at(byte=700).corrupt(3, value=0x20)
        b.sender.sendall(DATA)
        got = read(b.receiver, len(DATA))
    expected = bytearray(DATA)
    expected[500] ^= 0x81
    expected[501] = 0
    expected[700:703] = b"   "
    flipped = got[10] ^ DATA[10]
    assert flipped.bit_count() == 1
    expected[10] ^= flipped
    assert got == expected


def test_corrupt_chooses_bits_by_the_seed() -> None:
    def corrupted(seed: int) -> bytes:
        with bench(seed=seed) as b:
            b.proxy.to_client.at(byte=0).corrupt(32)
            b.sender.sendall(bytes(32))
            return read(b.receiver, 32)

    assert corrupted(1) == corrupted(1)
    assert corrupted(1) != corrupted(2)


@ways
def test_drop_leaves_out_exactly_those_bytes(way: Way) -> None:
    with bench(way) as b:
        b.here.at(byte=10).drop(5)
        b.here.at(byte=20).corrupt(value=0xFF)  # counted as they came
        b.sender.sendall(DATA[:30])
        assert read(b.receiver, 25) == DATA[:10] + DATA[15:20] + b"\xff" + DATA[21:30]
        assert (b.flow.taken, b.flow.passed) == (30, 25)


@ways
def test_drop_goes_on_over_chunks(way: Way) -> None:
    with bench(way, **{way: Line(chunk_size=2)}) as b:
        b.here.at(byte=3).drop(6)
        b.sender.sendall(b"0123456")
        b.sender.sendall(b"789")
        assert read(b.receiver, 4) == b"0129"


@ways
def test_insert_adds_bytes_that_do_not_count(way: Way) -> None:
    with bench(way) as b:
        b.here.at(byte=4).insert(b"<new>")
        b.here.at(byte=5).corrupt(value=0x21)
        b.sender.sendall(b"01234567")
        assert read(b.receiver, 13) == b"0123<new>4!67"
        b.here.insert(b"now")
        assert read(b.receiver, 3) == b"now"


@ways
def test_now_is_the_next_byte(way: Way) -> None:
    with bench(way) as b:
        b.sender.sendall(b"ab")
        assert read(b.receiver, 2) == b"ab"
        b.here.drop()
        b.sender.sendall(b"cd")
        assert read(b.receiver, 1) == b"d"
        b.here.truncate()
        assert read_to_end(b.receiver) == (b"", "FIN")


# Moments


@ways
@pytest.mark.parametrize("size", [None, 1, 3])
def test_match_is_when_its_last_byte_has_passed(way: Way, size: int | None) -> None:
    with bench(way, **{way: Line(chunk_size=size)}) as b:
        b.here.at(match=b"needle").pause()
        b.sender.sendall(b"needneedl")
        b.sender.sendall(b"eneedle.")
        assert read(b.receiver, 10) == b"needneedle"
        assert is_silent(b.receiver)
        b.here.resume()
        assert read(b.receiver, 7) == b"needle."


@ways
def test_moment_of_the_other_direction(way: Way) -> None:
    watched: Way = "to_server" if way == "to_client" else "to_client"
    with bench(way) as b:
        b.here.at(match=b"stop", of=watched).pause()
        b.sender.sendall(b"one")
        assert read(b.receiver, 3) == b"one"
        b.receiver.sendall(b"please stop now")
        assert read(b.sender, 15) == b"please stop now"
        b.sender.sendall(b"two")
        assert is_silent(b.receiver)


@ways
def test_fin_can_be_held_back(way: Way) -> None:
    with bench(way) as b:
        b.here.at(event="fin").pause()
        b.sender.sendall(b"the last")
        b.sender.shutdown(socket.SHUT_WR)
        assert read(b.receiver, 8) == b"the last"
        assert is_silent(b.receiver)
        b.here.resume()
        assert read_to_end(b.receiver) == (b"", "FIN")


def test_fin_can_become_rst() -> None:
    with bench() as b:
        b.proxy.to_client.at(event="fin").reset(to="client")
        b.server.sendall(b"the last")
        b.server.close()
        assert read_to_end(b.client) == (b"the last", "RST")


def test_connected_is_before_the_server_is_asked() -> None:
    with target() as listener, FaultProxy(listener.getsockname()) as proxy:
        proxy.to_client.at(event="connected").reset()
        connect_to_be_reset(proxy)
        listener.settimeout(SILENCE)
        with pytest.raises(TimeoutError):
            listener.accept()
        assert proxy.connections[0].ended is Ending.FAULT


def test_server_that_is_never_reached() -> None:
    with target() as listener, FaultProxy(listener.getsockname()) as proxy:
        proxy.to_server.at(event="connected").reset(to="server")
        with socket.create_connection(proxy.address, WAIT) as client:
            client.sendall(b"hello?")
            assert is_silent(client)


@ways
def test_truncate_when_connected_waits_for_the_connection(way: Way) -> None:
    with target() as listener, FaultProxy(listener.getsockname()) as proxy:
        getattr(proxy, way).at(event="connected").truncate()
        with (
            socket.create_connection(proxy.address, WAIT) as client,
            listener.accept()[0] as server,
        ):
            server.settimeout(WAIT)
            assert read_to_end(client if way == "to_client" else server) == (b"", "FIN")


def test_rules_act_once_on_each_connection_and_are_recorded() -> None:
    with target() as listener, FaultProxy(listener.getsockname()) as proxy:
        rule = proxy.add({"direction": "to_client", "byte": 2, "fault": "reset", "connection": 1})
        proxy.to_client.at(byte=1).drop()
        for expected in ((b"0234", "FIN"), (b"0", "RST"), (b"0234", "FIN")):
            with socket.create_connection(proxy.address, WAIT) as client:
                with listener.accept()[0] as server:
                    server.sendall(b"01234")
                assert read_to_end(client) == expected
        fired = [each.fired for each in proxy.connections]
        assert [len(each) for each in fired] == [1, 2, 1]
        assert fired[1][1] is rule


def test_clear_forgets_rules() -> None:
    with bench() as b:
        b.proxy.to_client.at(byte=1).reset()
        b.proxy.clear()
        b.server.sendall(b"xyz")
        assert read(b.client, 3) == b"xyz"


def test_rules_can_be_made_before_the_proxy_runs() -> None:
    with target() as listener:
        proxy = FaultProxy(listener.getsockname())
        proxy.to_client.at(byte=3).truncate()
        proxy.to_client.latency = 0.05
        with (
            proxy,
            socket.create_connection(proxy.address, WAIT) as client,
            listener.accept()[0] as server,
        ):
            begun = time.monotonic()
            server.sendall(b"012345")
            assert read_to_end(client) == (b"012", "FIN")
            assert time.monotonic() - begun >= 0.05


@ways
def test_each_fault_acts_the_same_at_any_size_of_pieces(way: Way) -> None:
    """The same faults give the same bytes, however the sender and the line cut them."""

    def run(line: Line, piece: int) -> tuple[bytes, str]:
        with bench(way, seed=5, **{way: line}) as b:
            b.here.at(byte=17).corrupt(3)
            b.here.at(byte=40).insert(b"<>")
            b.here.at(byte=40).drop(9)
            b.here.at(match=b"\x40\x41").insert(b"[match]")
            b.here.at(byte=200).black_hole()
            b.here.at(byte=250).resume()
            b.here.at(byte=600).truncate()
            for at in range(0, len(DATA), piece):
                b.sender.sendall(DATA[at : at + piece])
            return read_to_end(b.receiver)

    whole = run(Line(), len(DATA))
    assert whole[1] == "FIN"
    assert len(whole[0]) == 600 + 2 - 9 + 7 - 50
    assert run(Line(chunk_size=1), len(DATA)) == whole
    assert run(Line(), 1) == whole
    assert run(Line(chunk_size=13, bandwidth=1e6, jitter=0.001), 50) == whole


# Leaving the block


def test_block_ends_soon_whatever_the_connections_do() -> None:
    with target() as listener, ExitStack() as stack:
        with FaultProxy(listener.getsockname(), to_client=Line(latency=60)) as proxy:
            for number in range(4):
                client = stack.enter_context(socket.create_connection(proxy.address, WAIT))
                server = stack.enter_context(listener.accept()[0])
                for each in (client, server):
                    each.sendall(bytes(100_000))
                handle = proxy.to_client.on(number)
                (handle.pause, handle.black_hole, lambda: None, handle.truncate)[number]()
            begun = time.monotonic()
        assert time.monotonic() - begun < SLACK
        assert {each.ended for each in proxy.connections} == {Ending.STOPPED}


def test_error_on_the_thread_is_raised_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> None:
        raise ZeroDivisionError("broken on purpose")

    monkeypatch.setattr("wsclient.testing.faults.pipe.Pipe._readable", fail)
    with pytest.raises(BaseExceptionGroup) as caught, bench() as b:
        b.server.sendall(b"x")
        assert read_to_end(b.client) == (b"", "RST")
    assert caught.group_contains(ZeroDivisionError, match="broken on purpose")
    with pytest.raises(KeyError, match="mine") as other, bench() as b:
        b.server.sendall(b"x")
        assert read_to_end(b.client) == (b"", "RST")
        raise KeyError("mine")
    assert "broken on purpose" in other.value.__notes__[0]


def test_proxy_runs_once_and_says_so() -> None:
    with target() as listener:
        proxy = FaultProxy(listener.getsockname())
        with pytest.raises(RuntimeError, match="inside its with block"):
            _ = proxy.url
        with pytest.raises(RuntimeError, match="inside its with block"):
            proxy.refuse()
        with pytest.raises(RuntimeError, match="does not run"):
            proxy.wait_until(lambda seen: True)
        with proxy:
            pass
        with pytest.raises(RuntimeError, match="runs once"), proxy:
            pass
        with pytest.raises(RuntimeError, match="no open connection"):
            proxy.to_client.reset()


# Waiting


def test_waiting_gives_the_connections_and_bounds_the_time() -> None:
    with bench() as b:
        (seen,) = b.proxy.wait_until(lambda seen: seen[0].to_client.passed == 0)
        assert isinstance(seen, Connection)
        sending = threading.Timer(0.05, b.server.sendall, (b"xyz",))
        sending.start()
        (seen,) = b.proxy.wait_until(lambda seen: seen[0].to_client.passed == 3)
        assert seen.to_client.taken == 3
        with pytest.raises(TimeoutError, match=r"not in 0\.05 s; the connections: \(Connection"):
            b.proxy.wait_until(lambda seen: len(seen) == 2, timeout=0.05)
        with pytest.raises(IndexError):
            b.proxy.wait_until(lambda seen: seen[1].ended)
        read(b.client, 3)
        sending.join()


def test_waiting_raises_what_the_condition_raises_later() -> None:
    with bench() as b:
        sending = threading.Timer(0.05, b.server.sendall, (b"xyz",))
        sending.start()
        with pytest.raises(ZeroDivisionError):
            b.proxy.wait_until(lambda seen: seen[0].to_client.passed and 1 / 0)
        read(b.client, 3)
        sending.join()
