"""Which messages are compressed, as a server sees it (RFC 7692, section 6)."""

from __future__ import annotations

from typing import Any

import pytest

from behaviour.servers import agree
from wsclient import websocket_connect
from wsclient.testing.frames import Frame
from wsclient.testing.raw import RawConnection, RawServer

TEXT = "a text that is long enough, a text that is long enough"
RSV1 = 4


async def frame_of(
    options: dict[str, Any] | None, *, extension: str | None, **how: Any
) -> tuple[str | None, Frame]:
    """Send `TEXT`; return what the client offered and the frame that arrived."""
    seen: list[tuple[str | None, Frame]] = []

    async def serve(wire: RawConnection) -> None:
        request = await wire.accept({"Sec-WebSocket-Extensions": extension})
        offered = request.headers.get("sec-websocket-extensions")
        seen.append((offered, await wire.read_frame()))
        await agree(wire)

    async with (
        RawServer(serve) as server,
        websocket_connect(server.url, compression_options=options) as conn,
    ):
        await conn.write_message(TEXT, **how)
    return seen[0]


@pytest.mark.parametrize(
    ("options", "how", "compressed"),
    [
        ({}, {}, True),
        ({}, {"compress": False}, False),
        ({"threshold": len(TEXT)}, {}, True),
        ({"threshold": len(TEXT) + 1}, {}, False),
    ],
    ids=["all", "not-this-one", "at-the-threshold", "below-the-threshold"],
)
async def test_what_is_compressed(
    options: dict[str, Any], how: dict[str, Any], compressed: bool
) -> None:
    offered, frame = await frame_of(options, extension="permessage-deflate", **how)
    assert offered is not None
    assert frame.rsv == (RSV1 if compressed else 0)
    assert (frame.payload == TEXT.encode()) is not compressed


@pytest.mark.parametrize("options", [None, {}], ids=["not-offered", "not-accepted"])
async def test_nothing_is_compressed_without_agreement(options: dict[str, Any] | None) -> None:
    offered, frame = await frame_of(options, extension=None)
    assert (offered is None) == (options is None)
    assert (frame.rsv, frame.payload) == (0, TEXT.encode())
