"""Subprotocol selection (RFC 6455, section 4.2.2), on Tornado's handler and ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from handler.driver import Calls, Client
from handler.scenario import plain, same


def selecting(choice: Any) -> Any:
    """Make a handler that selects `choice`, or what it gives for the offer if it is called."""

    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def select_subprotocol(self, subprotocols: list[str]) -> Any:
                calls("select_subprotocol", list(subprotocols))
                return choice(subprotocols) if callable(choice) else choice

            def open(self) -> None:
                calls("open", self.selected_subprotocol)

        return Handler

    return make


def offering(offer: str | Sequence[str] | None) -> Any:
    async def drive(client: Client) -> None:
        if await client.request(headers={"Sec-WebSocket-Protocol": offer}) == 101:
            await client.leave()

    return drive


@pytest.mark.parametrize(
    ("offer", "offered"),
    [
        pytest.param(None, [], id="none"),
        pytest.param("", [], id="empty"),
        pytest.param("a", ["a"], id="one"),
        pytest.param("a, b", ["a", "b"], id="two"),
        pytest.param("a,b ,  c", ["a", "b", "c"], id="spaces"),
        pytest.param(["a", "b, c"], ["a", "b", "c"], id="two headers"),
        pytest.param("B, b", ["B", "b"], id="cases"),
    ],
)
async def test_what_is_offered(offer: str | list[str] | None, offered: list[str]) -> None:
    seen = await same(selecting(None), offering(offer))
    assert seen.calls == [
        ("select_subprotocol", offered),
        ("open", None),
        ("on_close", 1000, None),
    ]
    assert "sec-websocket-protocol" not in seen.headers


@pytest.mark.parametrize(
    ("offer", "choice", "selected"),
    [
        pytest.param("a, b", lambda offered: offered[0], "a", id="first"),
        pytest.param("a, b", lambda offered: offered[-1], "b", id="last"),
        pytest.param(["a", "b"], "b", "b", id="of the second header"),
        pytest.param("a, b, a", "a", "a", id="offered twice"),
    ],
)
async def test_the_choice_is_in_the_response(
    offer: str | list[str], choice: Any, selected: str
) -> None:
    seen = await same(selecting(choice), offering(offer))
    assert seen.headers["sec-websocket-protocol"] == selected
    assert ("open", selected) in seen.calls


async def test_an_empty_choice_is_none() -> None:
    seen = await same(selecting(""), offering("a"))
    assert seen.status == 101
    assert "sec-websocket-protocol" not in seen.headers


@pytest.mark.parametrize("offer", [None, "a", "CHAT"])
async def test_a_choice_that_was_not_offered_is_500(offer: str | None) -> None:
    seen = await same(selecting("chat"), offering(offer), closes=0)
    assert seen.status == 500
    assert seen.names == ["select_subprotocol"]


async def test_nothing_is_selected_without_an_override() -> None:
    seen = await same(plain, offering("a, b"))
    assert (seen.status, "sec-websocket-protocol" in seen.headers) == (101, False)


async def test_the_choice_during_the_connection() -> None:
    def make(base: Any, calls: Calls) -> Any:
        class Handler(base):
            def select_subprotocol(self, subprotocols: list[str]) -> str:
                return subprotocols[0]

            def on_message(self, message: str) -> None:
                calls("on_message", self.selected_subprotocol)

        return Handler

    async def drive(client: Client) -> None:
        await client.open(headers={"Sec-WebSocket-Protocol": "v1"})
        await client.send_text("x")
        await client.leave()

    seen = await same(make, drive)
    assert seen.calls[1:] == [("on_message", "v1"), ("on_close", 1000, None)]
