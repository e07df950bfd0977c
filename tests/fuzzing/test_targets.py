"""The targets, tested: each finds a library that is broken on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fuzzing.frame_model import DataFrame, meaning
from fuzzing.promises import check_text, shown
from fuzzing.registry import named_target
from fuzzing.replay import function_of, replay, seeds_of
from fuzzing.targets import urls
from wsclient.errors import IdentityError
from wsclient.protocol import accepting, codec_pure, handshake
from wsclient.protocol import messages as ws_messages
from wsclient.protocol.deflate import Inflater
from wsclient.protocol.frames import FrameParser, apply_mask
from wsclient.testing.frames import encode_frame
from wsclient.tls.certificates import facts
from wsclient.tls.handshake import messages
from wsclient.tls.identity import keys, reading


def leaking(data: bytes, place: str, *, combined: bool) -> IdentityError:
    return IdentityError(f"There is no key in {data!r}.", reason="key_missing")


def nosy(where: str) -> IdentityError:
    return IdentityError("Damaged.", reason="some_other_reason")


def key_not_turned(parser: Any, piece: bytes) -> bytes:
    return bytes(apply_mask(piece, parser._key))


run = Inflater._run


def without_limit(inflater: Any, chunk: Any, room: Any) -> Any:
    return run(inflater, chunk, None)


def cut_short(self: Any, size: int) -> bytes:
    taken: bytes = self._data[self._place : self._place + size]
    assert len(taken) == size
    self._place += size
    return taken


BREAKS = [
    pytest.param("codec", FrameParser, "_unmask", key_not_turned, id="codec: mask in chunks"),
    pytest.param(
        "codec", FrameParser, "_check_head", lambda *_: None, id="codec: reserved is allowed"
    ),
    pytest.param(
        "codec", codec_pure, "build_frame", lambda *_, **__: b"\x82\x00", id="codec: one twin"
    ),
    pytest.param("messages", Inflater, "_run", without_limit, id="messages: no limit"),
    pytest.param(
        "messages", ws_messages, "_check_surrogate", lambda _: None, id="messages: too late"
    ),
    pytest.param(
        "messages", Inflater, "_check_boundary", lambda _: None, id="messages: cut short"
    ),
    pytest.param(
        "handshake",
        handshake,
        "_chosen_subprotocol",
        lambda answer, offered: answer.get("sec-websocket-protocol"),
        id="handshake: not offered",
    ),
    pytest.param(
        "handshake", handshake, "_lower", lambda text: text, id="handshake: case matters"
    ),
    pytest.param(
        "handshake", accepting, "_is_key", lambda key: bool(key), id="handshake: any key"
    ),
    pytest.param("identity", reading, "no_key", leaking, id="identity: leak"),
    pytest.param("identity", keys, "_unreadable", nosy, id="identity: reason"),
    pytest.param(
        "certificates",
        facts,
        "_shown",
        lambda name: name.rfc4514_string(),
        id="certificates: control characters",
    ),
    pytest.param("urls", urls, "shown_url", str, id="urls: password"),
    pytest.param(
        "urls", urls, "_websocket_url", lambda base, to: base.join(to), id="urls: redirect"
    ),
    pytest.param("tls_messages", messages._Reader, "take", cut_short, id="tls_messages: raises"),
]


@pytest.fixture
def nothing_remembered() -> Iterator[None]:
    """Have certificates read anew, here and in the tests that follow in this process."""
    caches = (facts._facts, facts.name_from_der)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.usefixtures("nothing_remembered")
@pytest.mark.parametrize(("name", "owner", "attribute", "broken"), BREAKS)
def test_a_target_finds_what_is_broken(
    name: str,
    owner: Any,
    attribute: str,
    broken: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = named_target(name)
    monkeypatch.setattr(owner, attribute, broken)
    with pytest.raises(Exception) as caught:
        replay(function_of(target), seeds_of(target))
    assert "input: " in caught.value.__notes__[0]


# The model.

KEY = b"abcd"


def test_the_model_reads_what_comes_in_part() -> None:
    whole = encode_frame(1, b"one", masking_key=KEY)
    wire = whole + encode_frame(2, b"another", fin=False, masking_key=KEY)[:-2]
    found = meaning(wire, masked=True, compression=False, limit=0)
    assert found.frames == [DataFrame(1, True, False, b"one")]
    assert found.partial == DataFrame(2, False, False, b"anoth")
    assert found.code is None


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        pytest.param(encode_frame(1, b"x" * 11), 1009, id="too long"),
        pytest.param(encode_frame(1, b"\xff"), 1007, id="not UTF-8"),
        pytest.param(encode_frame(0, b"a"), 1002, id="nothing to continue"),
        pytest.param(encode_frame(1, fin=False) + encode_frame(2), 1002, id="inside another"),
        pytest.param(encode_frame(9, fin=False), 1002, id="control in fragments"),
        pytest.param(encode_frame(9, b"x" * 126), 1002, id="control too long"),
        pytest.param(encode_frame(3), 1002, id="reserved opcode"),
        pytest.param(encode_frame(1, rsv=4), 1002, id="RSV1"),
        pytest.param(encode_frame(1, masking_key=KEY), 1002, id="masked"),
        pytest.param(b"\x82\x7e\x00\x05abcde", 1002, id="longer form than needed"),
        pytest.param(b"\x82\x7f\x80" + bytes(7), 1002, id="most significant bit"),
        pytest.param(encode_frame(8) + encode_frame(3), None, id="behind a Close"),
        pytest.param(encode_frame(9, b"x" * 20), None, id="the limit is for data"),
        pytest.param(b"\x82", None, id="half a header"),
    ],
)
def test_the_model_knows_the_faults(wire: bytes, code: int | None) -> None:
    assert meaning(wire, masked=False, compression=False, limit=10).code == code


# What every error must keep to.


@pytest.mark.parametrize("text", ["", "two\nlines", "a bell \x07", "x" * 5000])
def test_a_text_that_is_not_for_logs(text: str) -> None:
    with pytest.raises(AssertionError):
        check_text(text)


def test_everything_that_a_traceback_shows_is_looked_at() -> None:
    try:
        try:
            raise KeyError("the cause")
        except KeyError as cause:
            raise ValueError("the error") from cause
    except ValueError as exc:
        assert "the cause" in " ".join(shown(exc))
    try:
        try:
            raise KeyError("not shown")
        except KeyError:
            raise ValueError("the error") from None
    except ValueError as exc:
        assert "not shown" not in " ".join(shown(exc))
