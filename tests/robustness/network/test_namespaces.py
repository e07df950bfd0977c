"""The networks of these tests do what they say, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from robustness.network.expected import EXPECTED
from robustness.network.namespaces import Namespace
from robustness.network.network import SERVER, SERVER_6, SERVER_TOO, TO_SERVER, Network

HERE = Path(__file__).parent

DIES = f"""
import os, signal, sys
sys.path.insert(0, {str(HERE.parents[1])!r})
from robustness.network.namespaces import Namespace
with Namespace() as mine:
    mine.ip("link add mine type veth peer name theirs netns " + sys.argv[1])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_table_is_whole() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py"))
    made_up = {f"{percent} % of packets lost" for percent in (1, 5, 20)}
    made_up |= {name for name in EXPECTED if name.startswith("connecting: ICMP ")}
    unused = [name for name in EXPECTED if name not in made_up and f'"{name}"' not in sources]
    assert not unused


@pytest.mark.parametrize("address", [SERVER, SERVER_TOO, SERVER_6])
def test_packets_find_their_way_and_are_counted(address: str, network: Network) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    network.rule(f"{TO_SERVER} udp dport 9 drop")
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        with network.server.entered():
            receiver = socket.socket(family, socket.SOCK_DGRAM)
        with receiver:
            receiver.bind((address, 0))
            receiver.settimeout(5)
            sender.sendto(b"dropped", (address, 9))
            sender.sendto(b"passed", receiver.getsockname()[:2])
            assert receiver.recv(100) == b"passed"
    assert network.hits == 1


def test_a_wrong_rule_is_an_error(network: Network) -> None:
    with pytest.raises(RuntimeError, match="syntax error"):
        network.rule("pigeons drop")


def test_who_enters_comes_home(namespaces: None) -> None:
    home = os.readlink("/proc/thread-self/ns/net")
    with Namespace() as namespace:
        with pytest.raises(ZeroDivisionError), namespace.entered():
            assert os.readlink("/proc/thread-self/ns/net") != home
            raise ZeroDivisionError
        assert os.readlink("/proc/thread-self/ns/net") == home


def test_a_network_dies_with_its_process(namespaces: None) -> None:
    with Namespace() as namespace:
        result = subprocess.run([sys.executable, "-c", DIES, namespace.path], timeout=20)
        assert result.returncode == -signal.SIGKILL
        # The kernel takes its time, and tells nobody when it is done.
        deadline = time.monotonic() + 10
        while "theirs" in namespace.ip("link show"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
