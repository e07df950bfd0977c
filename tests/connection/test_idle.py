"""The compressor of an idle connection: when its memory goes, and that nothing else changes."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.streams import law
from wsclient.protocol.deflate import Inflater
from wsclient.testing import VirtualClock, connection_pair, run_virtual
from wsclient.wire.idle import IdleDeflater

TEXT = b"a text that is long enough to be worth a look back, " * 3
TIMEOUT = 8.0


def make(timeout: float = TIMEOUT) -> IdleDeflater:
    loop = asyncio.get_running_loop()
    return IdleDeflater(loop, timeout, window_bits=15, level=6, mem_level=8)


def looks_back(data: bytes) -> bool:
    """Tell whether a message of `TEXT` refers to an earlier one."""
    return len(data) < 20


def test_it_forgets_when_nothing_was_compressed_for_so_long() -> None:
    async def main() -> None:
        deflater = make()
        assert not looks_back(deflater.compress(TEXT))
        await asyncio.sleep(TIMEOUT - 0.5)
        assert looks_back(deflater.compress(TEXT))
        # Its timer runs out in between, and then a second one.
        await asyncio.sleep(TIMEOUT - 0.5)
        assert looks_back(deflater.compress(TEXT))
        await asyncio.sleep(2 * TIMEOUT)
        assert not looks_back(deflater.compress(TEXT))
        await asyncio.sleep(TIMEOUT + 0.5)
        assert not looks_back(deflater.compress(TEXT))
        deflater.forget()

    run_virtual(main())


def test_one_timer_at_most_and_none_when_idle() -> None:
    async def main() -> None:
        with VirtualClock() as clock:
            deflater = make()
            assert clock.pending_timers() == []
            for _ in range(100):
                deflater.compress(TEXT)
                assert len(clock.pending_timers()) == 1
            await asyncio.sleep(2 * TIMEOUT)
            assert clock.pending_timers() == []
            deflater.compress(TEXT)
            deflater.forget()
            assert clock.pending_timers() == []

    asyncio.run(main())


def test_the_memory_goes() -> None:
    async def main() -> None:
        deflater = make()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            deflater.compress(TEXT)
            assert tracemalloc.get_traced_memory()[0] - before > 200_000
            await asyncio.sleep(2 * TIMEOUT)
            assert tracemalloc.get_traced_memory()[0] - before < 20_000
        finally:
            tracemalloc.stop()

    run_virtual(main())


def test_the_memory_goes_after_a_second_use_as_well() -> None:
    async def main() -> None:
        deflater = make()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(3):
                for _ in range(2):
                    deflater.compress(TEXT)
                    await asyncio.sleep(TIMEOUT / 2)
                await asyncio.sleep(2 * TIMEOUT)
                assert tracemalloc.get_traced_memory()[0] - before < 20_000
        finally:
            tracemalloc.stop()

    run_virtual(main())


@law(60)
@given(
    st.lists(
        st.tuples(st.binary(max_size=60) | st.just(TEXT), st.sampled_from([0, 3, 8, 9, 16])),
        max_size=12,
    )
)
def test_what_is_compressed_comes_back(messages: list[tuple[bytes, int]]) -> None:
    """Whatever the pauses, and with an inflater that knows nothing of them."""

    async def main() -> None:
        deflater = make()
        inflater = Inflater(window_bits=15, no_context_takeover=False)
        for message, pause in messages:
            assert inflater.feed(deflater.compress(message), None) == message
            inflater.finish()
            await asyncio.sleep(pause)
        deflater.forget()

    run_virtual(main())


@pytest.mark.parametrize(
    "options",
    [{"idle_timeout": 5.0}, {"idle_timeout": 5, "client_no_context_takeover": True}],
    ids=["takeover", "alone"],
)
def test_connections_go_on_after_a_pause(options: dict[str, Any]) -> None:
    async def main() -> None:
        # The far end takes the option as well, as it does those of the client.
        pair = connection_pair(
            compression_options=options, server_options={"compression_options": options}
        )
        async with pair as (client, server):
            for pause in (0, 1, 6, 11, 60):
                await asyncio.sleep(pause)
                await client.write_message(TEXT.decode())
                assert await server.read_message() == TEXT.decode()
                await server.write_message(TEXT, binary=True)
                assert await client.read_message() == TEXT

    run_virtual(main())


def test_a_closed_connection_leaves_no_timer() -> None:
    async def main() -> None:
        with VirtualClock() as clock:
            options = {"idle_timeout": 3600.0}
            pair = connection_pair(
                compression_options=options, server_options={"compression_options": options}
            )
            async with pair as (client, server):
                before = len(clock.pending_timers())
                await client.write_message(TEXT.decode())
                await server.write_message(TEXT, binary=True)
                assert len(clock.pending_timers()) == before + 2
                assert await server.read_message() == TEXT.decode()
                assert await client.read_message() == TEXT
            gc.collect()
            assert clock.pending_timers() == []

    asyncio.run(main())
