"""Drives pages of a browser by the DevTools protocol, which our own client speaks to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from wsclient import WebSocketClientConnection, websocket_connect

__all__ = ["BrowserError", "Page", "open_page"]

CALL_TIMEOUT = 10.0
"""Seconds in which the browser answers, scripts of a page included."""

_LOADED = """new Promise(resolve => {
    if (document.readyState === "complete") resolve();
    else addEventListener("load", () => resolve());
})"""


class BrowserError(Exception):
    """The browser refused a command, could not load a page, or a script of the page threw."""


class _Session:
    """Commands to the browser or, with a session id, to one page; one at a time."""

    def __init__(self, connection: WebSocketClientConnection, session_id: str = "") -> None:
        self._connection = connection
        self._address = {"sessionId": session_id} if session_id else {}
        self._calls = 0
        self._events: list[dict[str, Any]] = []

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command and return its result."""
        self._calls += 1
        # Numbers are those of a session, and its id stands in the answer, too.
        wanted = {"id": self._calls, **self._address}
        self._connection.write_message({**wanted, "method": method, "params": parameters})
        async with asyncio.timeout(CALL_TIMEOUT):
            while not wanted.items() <= (answer := await self._receive()).items():
                self._events.append(answer)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def event(self, method: str) -> dict[str, Any]:
        """Return the parameters of the oldest event of this name; wait if there was none."""
        async with asyncio.timeout(CALL_TIMEOUT):
            while True:
                for index, event in enumerate(self._events):
                    if event.get("method") == method:
                        parameters: dict[str, Any] = self._events.pop(index)["params"]
                        return parameters
                self._events.append(await self._receive())

    async def _receive(self) -> dict[str, Any]:
        text = await self._connection.read_message()
        if text is None:
            raise BrowserError(f"the browser has gone: {self._connection.close_info}")
        message: dict[str, Any] = json.loads(text)
        return message


class Page:
    """One page in a browser context of its own: no cookies, caches or choices of other pages.

    Its methods are called one at a time.
    """

    def __init__(self, session: _Session) -> None:
        self._session = session

    async def load(self, url: str) -> None:
        """Load `url` and wait until all of it is there.

        Raises:
            BrowserError: it cannot be loaded.
        """
        answer = await self._session.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserError(f"{url}: {answer['errorText']}")
        await self.run(_LOADED)

    async def run(self, script: str) -> Any:
        """Evaluate an expression on the page and return its value; a promise is awaited.

        Cancelling does not stop the script.

        Raises:
            BrowserError: the script threw, or the promise was rejected.
        """
        answer = await self._session.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise BrowserError(answer["result"].get("description") or answer["exceptionDetails"])
        return answer["result"].get("value")

    async def call(self, function: str, *arguments: object) -> Any:
        """Call a function of the page with arguments that JSON can hold, as `run` does."""
        listed = ", ".join(json.dumps(argument) for argument in arguments)
        return await self.run(f"{function}({listed})")

    async def next_error(self) -> str:
        """Return the next error in the page's console; wait for it if there is none yet."""
        while True:
            entry = (await self._session.event("Log.entryAdded"))["entry"]
            if entry["level"] == "error":
                return str(entry["text"])


@asynccontextmanager
async def open_page(devtools_url: str, url: str) -> AsyncIterator[Page]:
    """Open `url` in a new page; close the page, with all its connections, behind the block.

    Raises:
        BrowserError: it cannot be loaded.
    """
    async with websocket_connect(devtools_url, proxy=None, max_message_size=None) as connection:
        browser = _Session(connection)
        made = await browser.call("Target.createBrowserContext", disposeOnDetach=True)
        context = made["browserContextId"]
        try:
            target = await browser.call(
                "Target.createTarget", url="about:blank", browserContextId=context
            )
            attached = await browser.call(
                "Target.attachToTarget", targetId=target["targetId"], flatten=True
            )
            session = _Session(connection, attached["sessionId"])
            await session.call("Log.enable")
            page = Page(session)
            await page.load(url)
            yield page
        finally:
            await browser.call("Target.disposeBrowserContext", browserContextId=context)
