"""The client under test: it runs cases of a fuzzing server and sends back what it gets.

It uses the client as any program would: with compression on and everything else as it comes, but
for two cases whose messages are larger than the default allows.
It exits with 1 when a case raised what no case should, or when something was left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from conformance.batches import STARTS_CASE, agents
from wsclient import WebSocketClosedError, websocket_connect

__all__ = ["EchoClient", "main"]

_LARGE_CASES = frozenset(["9.1.6", "9.2.6"])
_LARGE_SIZE = 16 * 1024 * 1024
"""Bytes of their messages. `max_message_size` is 10 MiB if nothing is said, as in Tornado."""
_REPORT_TIMEOUT = 300.0  # seconds; the server answers when all of it is written


_PAUSES = (0.01, 0.05, 0.2, 0.7, 1.0)
"""Seconds between the questions for a result."""


class EchoClient:
    """Runs cases, several at once.

    Attributes:
        failures: how many cases raised what they should not.

    Args:
        url: of the fuzzing server, without a path.
        style: ``"read"`` reads in a loop, ``"callback"`` has a function called.
        patience: how much of `_PAUSES` a result is waited for.
    """

    def __init__(self, url: str, style: str, patience: float) -> None:
        self._url = url
        self._pauses = [patience * pause for pause in _PAUSES]
        self._echo = {"read": _echo_read, "callback": _echo_called}[style]
        self.failures = 0

    async def run(self, cases: Sequence[str], *, repeat: int, parallel: int) -> None:
        """Run each case `repeat` times, `parallel` at once, and let the server write reports."""
        turns = ((case, agent) for agent in agents(repeat) for case in cases)
        async with asyncio.TaskGroup() as group:
            for _ in range(parallel):
                group.create_task(self._take_turns(turns))
        target = self._target("updateReports", agent=agents(1)[0])
        async with websocket_connect(target, connect_timeout=_REPORT_TIMEOUT) as conn:
            await conn.read_message()

    async def _take_turns(self, turns: Iterator[tuple[str, str]]) -> None:
        for case, agent in turns:
            print(f"{STARTS_CASE.decode()}{case}", flush=True)
            try:
                options = {"max_message_size": _LARGE_SIZE} if case in _LARGE_CASES else {}
                await self._echo(self._target("runCase", casetuple=case, agent=agent), options)
                await self._wait_for_result(case, agent)
            except Exception:
                # The other cases are none the worse for it.
                self.failures += 1
                print(f"Case {case}:", file=sys.stderr)
                traceback.print_exc()

    async def _wait_for_result(self, case: str, agent: str) -> None:
        """Wait until the server has come to its verdict, which may be after our end."""
        target = self._target("getCaseStatus", casetuple=case, agent=agent)
        for pause in self._pauses:
            async with websocket_connect(target) as conn:
                answer = await conn.read_message()
            if answer is not None and "behavior" in json.loads(answer):
                return
            await asyncio.sleep(pause)  # It is told to nobody when the verdict is there.
        raise RuntimeError(f"the server says {answer!r} of the result: {conn.close_info}")

    def _target(self, command: str, **parameters: str) -> str:
        return f"{self._url}/{command}?{urlencode(parameters)}"


async def _echo_read(url: str, options: Mapping[str, Any]) -> None:
    async with websocket_connect(url, compression_options={}, **options) as conn:
        async for message in conn:
            try:
                await conn.write_message(message, binary=isinstance(message, bytes))
            except WebSocketClosedError:
                # A message before a faulty frame; the suite judges whether that is too early.
                pass


async def _echo_called(url: str, options: Mapping[str, Any]) -> None:
    def on_message(message: str | bytes | None) -> None:
        if message is None:
            return
        try:
            conn.write_message(message, binary=isinstance(message, bytes))
        except WebSocketClosedError:
            pass  # As above.

    conn = await websocket_connect(
        url, compression_options={}, on_message_callback=on_message, **options
    )
    await conn.wait_closed()


async def run(given: argparse.Namespace) -> int:
    """Run what the command line asks for; return the exit code."""
    errors: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context))
    client = EchoClient(given.url, given.style, given.patience)
    await client.run(given.cases, repeat=given.repeat, parallel=given.parallel)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for each in [*errors, *left]:
        print(f"Left behind: {each!r}", file=sys.stderr)
    return int(bool(client.failures or errors or left))


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--style", choices=["read", "callback"], default="read")
    parser.add_argument("--patience", type=float, default=1.0, help="less for a quick server")
    parser.add_argument("--parallel", type=int, default=1, help="cases at once")
    parser.add_argument("--repeat", type=int, default=1, help="times that each case runs")
    parser.add_argument("url", help="of the fuzzing server, such as ws://127.0.0.1:9001")
    parser.add_argument("cases", nargs="+", metavar="case")
    given = parser.parse_args()
    factory = asyncio.new_event_loop
    if given.loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(run(given))


if __name__ == "__main__":
    sys.exit(main())
