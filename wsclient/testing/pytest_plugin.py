"""Fixtures for pytest, which finds this module by itself where wsclient is installed.

They are plain fixtures, so that they work with plain tests and with the coroutine tests of
pytest-asyncio, of anyio's plugin, and of any other one. What takes time to import is imported
when a test asks for it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from .certificates import CertificateAuthority
    from .clock.virtual import VirtualClock
    from .faults import FaultProxy
    from .serving.server import WebSocketTestServer

__all__ = ["certificate_authority", "fault_proxy", "virtual_clock", "websocket_server"]


@pytest.fixture
def websocket_server() -> Iterator[Callable[..., WebSocketTestServer]]:
    """Start servers: ``websocket_server()`` takes what `WebSocketTestServer` takes.

    Each runs in a thread of its own until the test has ended. What its handlers raised makes the
    test fail then.
    """
    from .serving.server import WebSocketTestServer

    with ExitStack() as stack:

        def start(*args: Any, **kwargs: Any) -> WebSocketTestServer:
            return stack.enter_context(WebSocketTestServer(*args, **kwargs))

        yield start


@pytest.fixture
def fault_proxy() -> Iterator[Callable[..., FaultProxy]]:
    """Start proxies: ``fault_proxy(server.url)`` takes what `FaultProxy` takes.

    Each runs in a thread of its own until the test has ended.
    """
    from .faults import FaultProxy

    with ExitStack() as stack:

        def start(*args: Any, **kwargs: Any) -> FaultProxy:
            return stack.enter_context(FaultProxy(*args, **kwargs))

        yield start


@pytest.fixture(scope="session")
def certificate_authority() -> CertificateAuthority:
    """A root authority for the whole session."""
    from .certificates import CertificateAuthority

    return CertificateAuthority("wsclient test authority")


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """The clock of a coroutine test, whose time jumps when nothing is left to do.

    It rules from the first line of the test to its last. It needs the stock event loop of
    asyncio, and knows nothing of other threads: the servers and proxies of the other fixtures
    are such. Use `connection_pair`, or servers in the loop of the test.
    """
    from .clock.virtual import VirtualClock

    return VirtualClock()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the virtual clock rule in the coroutine tests that ask for it."""
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and "virtual_clock" in item.fixturenames
            and inspect.iscoroutinefunction(item.obj)
        ):
            item.obj = _under_virtual_clock(item)


def _under_virtual_clock(item: pytest.Function) -> Callable[..., Any]:
    # It must be done before plugins turn the coroutine function into a plain one.
    test = item.obj

    @functools.wraps(test)
    async def run(*args: Any, **kwargs: Any) -> Any:
        clock = cast("VirtualClock", item.funcargs["virtual_clock"])
        with clock:
            return await test(*args, **kwargs)

    return run
