"""The N-th system call on the client's socket fails, from connecting to the end of closing.

All time is virtual: whoever would have waited for a time limit has let it pass, which is seen.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from robustness.sweeps.faulty_socket import DEATHS, Death
from robustness.sweeps.stepping import quiet, sweep
from robustness.sweeps.ways_in import GREETING, WAYS_IN, Connect
from wsclient import CloseCause, CloseInfo, ConnectError, ConnectTimeoutError, WebSocketClosedError
from wsclient.testing import VirtualClockLoop
from wsclient.testing.certificates import CertificateAuthority

FEWEST_CALLS = 10
"""A sweep over fewer would not have gone over the whole life."""

INSTANT = 0.5
"""Virtual seconds; every time limit is longer, but for the wait for what comes last."""


@pytest.fixture
def loop_factory() -> object:
    """The loop of these tests."""
    return VirtualClockLoop


@pytest.fixture(autouse=True)
def stock_transports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the loop's own transports: those of aiofastnet ask the system, and not the socket."""
    monkeypatch.setattr("wsclient.opening.fast.fast_transports", lambda: None)


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    """The authority of servers and clients."""
    return CertificateAuthority()


@dataclass
class Life:
    """What became of one connection.

    Attributes:
        refused: why it was not opened, ``None`` if it was.
        info: the account of its end.
        told: how many calls have raised `WebSocketClosedError`.
    """

    refused: ConnectError | None = None
    info: CloseInfo | None = None
    told: int = 0


async def live(connect: Connect) -> Life:
    """Connect, exchange messages, ping, and close."""
    life = Life()
    try:
        conn = await connect(connect_timeout=20.0)
    except ConnectError as exc:
        life.refused = exc
        return life
    waiting = asyncio.create_task(conn.wait_closed())
    try:
        got = await conn.read_message()
        assert got in (GREETING, None)
        for number in range(3):
            await conn.write_message(str(number))
            assert await conn.read_message() in (str(number), None)
        await conn.ping()
    except WebSocketClosedError:
        life.told += 1
    life.info = await conn.close()
    assert await conn.read_message() is None
    assert await waiting == life.info == conn.close_info
    return life


@pytest.mark.parametrize("kind", DEATHS)
@pytest.mark.parametrize("way_in", WAYS_IN)
async def test_system_call_fails(
    way_in: str,
    kind: str,
    authority: CertificateAuthority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error, cause = DEATHS[kind]
    clock = asyncio.get_running_loop().time
    async with WAYS_IN[way_in](authority, tmp_path) as connect, quiet() as watch:
        phases: set[str] = set()

        async def trial(number: int) -> bool:
            death = Death(number, error)
            death.install(monkeypatch)
            start = clock()
            life = await live(connect)
            took = clock() - start
            where = f"{death.failed}: {life}"
            assert took < INSTANT, f"only a time limit ended it after {took} s: {where}"
            if life.refused is not None:
                assert death.failed is not None, where
                assert not isinstance(life.refused, ConnectTimeoutError), where
                assert life.refused.__cause__ is not None, where
                phases.add(life.refused.phase)
            elif death.failed is None:
                assert life.info is not None and life.info.clean and not life.told
            else:
                check_end(life, error, cause, where)
                phases.add("open")
            await watch.restored()
            return death.failed is not None

        assert await sweep(trial) >= (FEWEST_CALLS if error else FEWEST_CALLS // 2)
        # A server that ends without an answer may not have liked the certificate.
        before = "tls" if way_in == "certificate" else "http"
        assert {before, "open"} <= phases, phases


def check_end(life: Life, error: int, cause: CloseCause, where: str) -> None:
    """See that the account says what has happened."""
    info = life.info
    assert info is not None
    if info.cause is CloseCause.CLOSING_HANDSHAKE:
        assert info.clean, where
        return
    assert info.cause is cause, where
    assert not info.clean and info.received is None, where
    assert getattr(info.exception, "errno", 0) == error, where
