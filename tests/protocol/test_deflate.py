"""permessage-deflate without a network (RFC 7692)."""

from __future__ import annotations

import json
import random
import tracemalloc
import zlib
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsclient.errors import MessageTooBigError, ProtocolError
from wsclient.protocol.deflate import (
    DeflateOffer,
    DeflateParameters,
    Deflater,
    Inflater,
    negotiate,
)

pytestmark = pytest.mark.usefixtures("each_zlib")

BITS = st.integers(8, 15)
MAYBE_BITS = st.none() | BITS
TRAILER = b"\x00\x00\xff\xff"

# Text that repeats at all distances, and noise: what compresses well and what does not.
PAYLOADS = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda unit, times: unit * times, st.binary(max_size=40), st.integers(0, 80)),
    st.builds(
        lambda seed, size, kinds: random.Random(seed).choices(range(kinds), k=size),
        st.integers(0, 99),
        st.integers(0, 3000),
        st.sampled_from([1, 2, 16, 256]),
    ).map(bytes),
)

OFFERS = st.builds(DeflateOffer, st.booleans(), st.booleans(), MAYBE_BITS, MAYBE_BITS)


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def inflate(
    inflater: Inflater, data: bytes, *, size: int = 1 << 20, limit: int | None = None
) -> bytes:
    """Inflate one message in pieces, keeping account of the limit as a caller does."""
    out = b""
    for piece in pieces(data, size):
        out += inflater.feed(piece, None if limit is None else limit - len(out))
    inflater.finish()
    return out


def raw(data: bytes, flush: int = zlib.Z_FINISH, bits: int = 15) -> bytes:
    compressor = zlib.compressobj(wbits=-bits)
    return compressor.compress(data) + compressor.flush(flush)


# --- offers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offer", "header"),
    [
        pytest.param(
            DeflateOffer(), "permessage-deflate; client_max_window_bits", id="nothing-special"
        ),
        pytest.param(
            DeflateOffer(server_no_context_takeover=True),
            "permessage-deflate; server_no_context_takeover; client_max_window_bits",
            id="server-no-takeover",
        ),
        pytest.param(
            DeflateOffer(client_no_context_takeover=True),
            "permessage-deflate; client_no_context_takeover; client_max_window_bits",
            id="client-no-takeover",
        ),
        pytest.param(
            DeflateOffer(True, True, 8, 15),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
            "server_max_window_bits=8; client_max_window_bits=15",
            id="everything",
        ),
    ],
)
def test_offer_header(offer: DeflateOffer, header: str) -> None:
    assert offer.header() == header


@pytest.mark.parametrize("bits", [-1, 0, 7, 16])
def test_offer_refuses_bits_out_of_range(bits: int) -> None:
    with pytest.raises(ValueError, match=f"server_max_window_bits is {bits}; .* from 8 to 15"):
        DeflateOffer(server_max_window_bits=bits)
    with pytest.raises(ValueError, match=f"client_max_window_bits is {bits}; .* from 8 to 15"):
        DeflateOffer(client_max_window_bits=bits)


# --- the server's answer --------------------------------------------------------------------

NO_SERVER = ("server_no_context_takeover", None)
NO_CLIENT = ("client_no_context_takeover", None)


@pytest.mark.parametrize(
    ("offer", "answer", "agreed"),
    [
        pytest.param(DeflateOffer(), [], DeflateParameters(), id="bare"),
        pytest.param(
            DeflateOffer(),
            [NO_SERVER, NO_CLIENT],
            DeflateParameters(True, True),
            id="takeover-given-up-unasked",
        ),
        pytest.param(
            DeflateOffer(),
            [("server_max_window_bits", "10")],
            DeflateParameters(server_max_window_bits=10),
            id="server-window-unasked",
        ),
        pytest.param(
            DeflateOffer(server_no_context_takeover=True),
            [NO_SERVER],
            DeflateParameters(server_no_context_takeover=True),
            id="server-takeover-asked",
        ),
        pytest.param(
            DeflateOffer(server_max_window_bits=12),
            [("server_max_window_bits", "12")],
            DeflateParameters(server_max_window_bits=12),
            id="server-window-same",
        ),
        pytest.param(
            DeflateOffer(server_max_window_bits=12),
            [("server_max_window_bits", "8")],
            DeflateParameters(server_max_window_bits=8),
            id="server-window-smaller",
        ),
        pytest.param(
            DeflateOffer(),
            [("client_max_window_bits", "9")],
            DeflateParameters(client_max_window_bits=9),
            id="client-window-told",
        ),
        pytest.param(
            DeflateOffer(client_max_window_bits=12),
            [("client_max_window_bits", "9")],
            DeflateParameters(client_max_window_bits=9),
            id="client-window-smaller",
        ),
        pytest.param(
            DeflateOffer(client_max_window_bits=12),
            [],
            DeflateParameters(client_max_window_bits=12),
            id="client-window-hint-kept-without-answer",
        ),
        pytest.param(
            DeflateOffer(client_no_context_takeover=True),
            [],
            DeflateParameters(client_no_context_takeover=True),
            id="client-takeover-hint-kept-without-answer",
        ),
    ],
)
def test_negotiate(
    offer: DeflateOffer, answer: list[tuple[str, str | None]], agreed: DeflateParameters
) -> None:
    assert negotiate(offer, answer) == agreed


@pytest.mark.parametrize(
    ("offer", "answer", "section", "text"),
    [
        pytest.param(DeflateOffer(), [("turbo", None)], "7.1", "'turbo'", id="unknown"),
        pytest.param(DeflateOffer(), [NO_SERVER, NO_SERVER], "7.1", "more than once", id="twice"),
        pytest.param(
            DeflateOffer(),
            [("server_max_window_bits", "10"), ("server_max_window_bits", "10")],
            "7.1",
            "more than once",
            id="bits-twice",
        ),
        pytest.param(
            DeflateOffer(),
            [("server_no_context_takeover", "1")],
            "7.1.1.1",
            "takes no value",
            id="server-flag-with-value",
        ),
        pytest.param(
            DeflateOffer(),
            [("client_no_context_takeover", "true")],
            "7.1.1.2",
            "takes no value",
            id="client-flag-with-value",
        ),
        pytest.param(
            DeflateOffer(),
            [("server_max_window_bits", None)],
            "7.1.2.1",
            "needs a number",
            id="server-bits-without-value",
        ),
        pytest.param(
            DeflateOffer(),
            [("client_max_window_bits", None)],
            "7.1.2.2",
            "needs a number",
            id="client-bits-without-value",
        ),
        pytest.param(
            DeflateOffer(server_no_context_takeover=True),
            [],
            "7.1.1.1",
            "left it out",
            id="server-takeover-not-accepted",
        ),
        pytest.param(
            DeflateOffer(server_max_window_bits=12),
            [],
            "7.1.2.1",
            "left it out",
            id="server-window-not-accepted",
        ),
        pytest.param(
            DeflateOffer(server_max_window_bits=12),
            [("server_max_window_bits", "13")],
            "7.1.2.1",
            "12 or less",
            id="server-window-too-large",
        ),
        pytest.param(
            DeflateOffer(client_max_window_bits=12),
            [("client_max_window_bits", "13")],
            "7.1.2.2",
            "12 or less",
            id="client-window-too-large",
        ),
    ],
)
def test_negotiate_refuses(
    offer: DeflateOffer, answer: list[tuple[str, str | None]], section: str, text: str
) -> None:
    with pytest.raises(ProtocolError, match=text) as caught:
        negotiate(offer, answer)
    assert caught.value.section == f"RFC 7692, section {section}"


@pytest.mark.parametrize(
    "value", ["7", "16", "08", "+9", " 9", "9 ", "1_0", "9.0", "", "0x9", "\u0669", "-9", "150"]
)
@pytest.mark.parametrize("name", ["server_max_window_bits", "client_max_window_bits"])
def test_negotiate_refuses_other_numbers(name: str, value: str) -> None:
    with pytest.raises(ProtocolError, match="from 8 to 15"):
        negotiate(DeflateOffer(), [(name, value)])


NAMES = st.sampled_from(
    [
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits",
        "client_max_window_bits",
    ]
)
VALUES = st.none() | BITS.map(str) | st.text(max_size=3)


@given(OFFERS, st.lists(st.tuples(NAMES | st.text(max_size=5), VALUES), max_size=5))
def test_negotiate_accepts_only_what_was_offered(
    offer: DeflateOffer, answer: list[tuple[str, str | None]]
) -> None:
    try:
        agreed = negotiate(offer, answer)
    except ProtocolError:
        return
    given_values = dict(answer)
    assert len(given_values) == len(answer)
    assert agreed.server_no_context_takeover >= offer.server_no_context_takeover
    assert agreed.client_no_context_takeover >= offer.client_no_context_takeover
    for name in ("server_max_window_bits", "client_max_window_bits"):
        bits = getattr(agreed, name)
        assert 8 <= bits <= (getattr(offer, name) or 15)
        assert str(bits) == given_values.get(name, str(bits))


@given(OFFERS, st.booleans(), st.booleans(), MAYBE_BITS, MAYBE_BITS)
def test_negotiate_accepts_every_correct_answer(
    offer: DeflateOffer,
    no_server: bool,
    no_client: bool,
    server_bits: int | None,
    client_bits: int | None,
) -> None:
    answer: list[tuple[str, str | None]] = []
    if no_server or offer.server_no_context_takeover:
        answer.append(NO_SERVER)
    if no_client:
        answer.append(NO_CLIENT)
    if server_bits is not None or offer.server_max_window_bits is not None:
        server_bits = min(server_bits or 15, offer.server_max_window_bits or 15)
        answer.append(("server_max_window_bits", str(server_bits)))
    if client_bits is not None:
        client_bits = min(client_bits, offer.client_max_window_bits or 15)
        answer.append(("client_max_window_bits", str(client_bits)))
    assert negotiate(offer, answer) == DeflateParameters(
        no_server or offer.server_no_context_takeover,
        no_client or offer.client_no_context_takeover,
        server_bits or 15,
        client_bits or offer.client_max_window_bits or 15,
    )


# --- compressing ----------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.lists(PAYLOADS, max_size=4), BITS, st.booleans(), st.integers(1, 400), st.integers(-1, 9)
)
def test_what_is_compressed_comes_back(
    payloads: list[bytes], bits: int, no_takeover: bool, size: int, level: int
) -> None:
    deflater = Deflater(window_bits=bits, no_context_takeover=no_takeover, level=level)
    whole = Inflater(window_bits=bits, no_context_takeover=no_takeover)
    cut = Inflater(window_bits=bits, no_context_takeover=no_takeover)
    for payload in payloads:
        data = deflater.compress(payload)
        assert inflate(whole, data, limit=len(payload)) == payload
        assert inflate(cut, data, size=size, limit=len(payload)) == payload


@pytest.mark.parametrize("bits", range(8, 16))
@pytest.mark.parametrize("no_takeover", [False, True], ids=["takeover", "no-takeover"])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_like(bits: int, no_takeover: bool, kind: type) -> None:
    deflater = Deflater(window_bits=bits, no_context_takeover=no_takeover)
    inflater = Inflater(window_bits=bits, no_context_takeover=no_takeover)
    for payload in (b"Hello" * 99, b"", b"x", b"Hello" * 99):
        data = deflater.compress(kind(payload))
        assert isinstance(data, bytes)
        assert inflater.feed(kind(data), None) == payload
        inflater.finish()


def test_examples_of_the_rfc() -> None:
    # RFC 7692, sections 7.2.3.1 and 7.2.3.2.
    deflater = Deflater(window_bits=15, no_context_takeover=False)
    assert deflater.compress(b"Hello") == bytes.fromhex("f248cdc9c90700")
    assert deflater.compress(b"Hello") == bytes.fromhex("f200110000")
    alone = Deflater(window_bits=15, no_context_takeover=True)
    assert alone.compress(b"Hello") == bytes.fromhex("f248cdc9c90700")
    assert alone.compress(b"Hello") == bytes.fromhex("f248cdc9c90700")


def test_empty_messages_are_one_zero_byte() -> None:
    deflater = Deflater(window_bits=15, no_context_takeover=False)
    inflater = Inflater(window_bits=15, no_context_takeover=False)
    assert deflater.compress(b"") == deflater.compress(memoryview(b"")) == b"\x00"
    for payload in (b"", b"abc", b"", b"", b"abc"):
        assert inflate(inflater, deflater.compress(payload)) == payload


def incompressible_and_repetitive() -> bytes:
    rng = random.Random(7692)
    parts = [rng.randbytes(300), b"a" * 600, bytes(rng.choices(b"ab", k=500))]
    for distance in (249, 250, 251, 255, 256, 257, 300, 511):
        unit = rng.randbytes(distance)
        parts += [unit * 2, unit[:30], rng.randbytes(distance - 30), unit[:30]]
    words = [rng.randbytes(rng.randrange(3, 30)) for _ in range(30)]
    parts += rng.choices(words, k=60)
    return b"".join(parts)


def inflate_with_256_bytes(data: bytes) -> bytes:
    """Inflate with a window of 2**8 bytes, a few bytes at a time.

    zlib may look back into what one call has put out, so only short calls show that a sender
    keeps to the window.
    """
    decompressor = zlib.decompressobj(wbits=-8)
    out = b""
    while True:
        some = decompressor.decompress(data, 7)
        out += some
        data = decompressor.unconsumed_tail
        if len(some) < 7:
            return out


@pytest.mark.parametrize("level", range(-1, 10))
def test_eight_bits_compress_within_256_bytes(level: int) -> None:
    message = incompressible_and_repetitive()
    for mem_level in range(1, 10):
        deflater = Deflater(
            window_bits=8, no_context_takeover=False, level=level, mem_level=mem_level
        )
        data = deflater.compress(message) + TRAILER + deflater.compress(message[:99])
        assert inflate_with_256_bytes(data + TRAILER) == message + message[:99]


def test_ten_bits_do_not_fit_into_256_bytes() -> None:
    # Shows that the test above can fail.
    data = Deflater(window_bits=10, no_context_takeover=False).compress(
        incompressible_and_repetitive()
    )
    with pytest.raises(zlib.error, match="too far back"):
        inflate_with_256_bytes(data)


def test_failed_call_does_not_disturb_the_stream() -> None:
    deflater = Deflater(window_bits=15, no_context_takeover=False)
    inflater = Inflater(window_bits=15, no_context_takeover=False)
    first = deflater.compress(b"Hello, world " * 9)
    with pytest.raises(BufferError):
        deflater.compress(memoryview(b"0123456789")[::2])
    assert inflate(inflater, first) == b"Hello, world " * 9
    for payload in (b"Hello, world " * 9, b"after"):
        assert inflate(inflater, deflater.compress(payload)) == payload


def test_interrupted_call_does_not_disturb_the_stream(
    monkeypatch: pytest.MonkeyPatch, each_zlib: ModuleType
) -> None:
    real = each_zlib.compressobj
    interrupt = False

    class Stream:
        def __init__(self, level: int, method: int, bits: int, mem_level: int) -> None:
            self.stream = real(level, method, bits, mem_level)

        def compress(self, data: bytes) -> bytes:
            done: bytes = self.stream.compress(data)
            return done

        def flush(self, mode: int) -> bytes:
            data: bytes = self.stream.flush(mode)
            if interrupt:
                raise KeyboardInterrupt
            return data

    monkeypatch.setattr(each_zlib, "compressobj", Stream)
    deflater = Deflater(window_bits=15, no_context_takeover=False)
    inflater = Inflater(window_bits=15, no_context_takeover=False)
    assert inflate(inflater, deflater.compress(b"before")) == b"before"
    interrupt = True
    with pytest.raises(KeyboardInterrupt):
        deflater.compress(b"this message is never sent")
    interrupt = False
    for payload in (b"this message is never sent", b"before"):
        assert inflate(inflater, deflater.compress(payload)) == payload


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"window_bits": 7}, id="window-7"),
        pytest.param({"window_bits": 16}, id="window-16"),
        pytest.param({"window_bits": 15, "level": 10}, id="level-10"),
        pytest.param({"window_bits": 15, "level": -2}, id="level--2"),
        pytest.param({"window_bits": 15, "mem_level": 0}, id="mem_level-0"),
        pytest.param({"window_bits": 15, "mem_level": 10}, id="mem_level-10"),
    ],
)
def test_deflater_refuses_numbers_out_of_range(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="it must be from"):
        Deflater(no_context_takeover=False, **arguments)


@pytest.mark.parametrize("bits", [7, 16])
def test_inflater_refuses_numbers_out_of_range(bits: int) -> None:
    with pytest.raises(ValueError, match="it must be from 8 to 15"):
        Inflater(window_bits=bits, no_context_takeover=False)


def test_smaller_settings_take_less_memory() -> None:
    def kept(bits: int, mem_level: int, no_takeover: bool) -> int:
        tracemalloc.start()
        try:
            deflater = Deflater(
                window_bits=bits, no_context_takeover=no_takeover, mem_level=mem_level
            )
            inflater = Inflater(window_bits=bits, no_context_takeover=no_takeover)
            assert inflate(inflater, deflater.compress(b"abc" * 99)) == b"abc" * 99
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    assert kept(15, 8, no_takeover=False) > 100_000
    assert kept(9, 1, no_takeover=False) < 40_000
    assert kept(15, 8, no_takeover=True) < 6_000


# --- decompressing --------------------------------------------------------------------------

SIZES = pytest.mark.parametrize("size", [1 << 20, 1, 3], ids=["whole", "bytewise", "by-3"])
TAKEOVER = pytest.mark.parametrize("no_takeover", [False, True], ids=["takeover", "alone"])


@SIZES
@TAKEOVER
@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"\x00", b"", id="empty"),
        pytest.param(b"", b"", id="no-bytes-at-all"),
        pytest.param(bytes.fromhex("f248cdc9c90700"), b"Hello", id="one-block"),
        pytest.param(bytes.fromhex("000500faff48656c6c6f00"), b"Hello", id="stored"),
        pytest.param(bytes.fromhex("f348cdc9c9070000"), b"Hello", id="final-block"),
        pytest.param(bytes.fromhex("f348cdc9c90700"), b"Hello", id="final-block-and-no-more"),
        pytest.param(
            bytes.fromhex("f248050000 00ffff cac9c90700"),
            b"Hello",
            id="two-blocks",
        ),
        pytest.param(raw(b"one") + raw(b"two"), b"onetwo", id="two-final-blocks"),
        pytest.param(
            raw(b"one") + raw(b"two") + raw(b"") * 50 + b"\x00", b"onetwo", id="many-final-blocks"
        ),
        pytest.param(
            raw(b"one") + raw(b"two" * 9, zlib.Z_SYNC_FLUSH)[:-4],
            b"one" + b"two" * 9,
            id="final-block-then-others",
        ),
        pytest.param(
            raw(b"one", zlib.Z_SYNC_FLUSH) + raw(b"two"), b"onetwo", id="others-then-final-block"
        ),
        pytest.param(raw(bytes(20_000)) * 9, bytes(180_000), id="long-final-blocks"),
    ],
)
def test_inflate(data: bytes, message: bytes, no_takeover: bool, size: int) -> None:
    inflater = Inflater(window_bits=15, no_context_takeover=no_takeover)
    again = bytes.fromhex("f248cdc9c90700")
    for _ in range(2):
        assert inflate(inflater, data, size=size) == message
        assert inflate(inflater, data, size=size, limit=len(message)) == message
        # The next message is not disturbed.
        assert inflate(inflater, again, size=size) == b"Hello"


def test_empty_pieces_change_nothing() -> None:
    inflater = Inflater(window_bits=15, no_context_takeover=False)
    for _ in range(2):
        assert inflater.feed(b"", 5) == b""
        out = inflater.feed(bytes.fromhex("f248cd"), 5) + inflater.feed(b"", 5)
        out += inflater.feed(bytes.fromhex("c9c90700"), 5) + inflater.feed(b"", 0)
        inflater.finish()
        assert out == b"Hello"


def test_context_is_taken_over() -> None:
    second = bytes.fromhex("f200110000")
    inflater = Inflater(window_bits=15, no_context_takeover=False)
    assert inflate(inflater, bytes.fromhex("f248cdc9c90700")) == b"Hello"
    assert inflate(inflater, second) == b"Hello"
    alone = Inflater(window_bits=15, no_context_takeover=True)
    assert inflate(alone, bytes.fromhex("f248cdc9c90700")) == b"Hello"
    with pytest.raises(ProtocolError, match="too far back"):
        inflate(alone, second)


@SIZES
@TAKEOVER
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff\xff\xff", id="reserved-block-type"),
        pytest.param(b"\x00\x05\x00\x00\x00Hello", id="stored-length-mismatch"),
        pytest.param(b"Hello, I am plain text", id="plain-text"),
        pytest.param(zlib.compress(b"Hello"), id="zlib-header"),
        pytest.param(bytes.fromhex("f200110000"), id="reference-before-the-beginning"),
        pytest.param(raw(b"one") + b"\xff\xff", id="rubbish-behind-final-block"),
    ],
)
def test_invalid_data(data: bytes, no_takeover: bool, size: int, each_zlib: ModuleType) -> None:
    inflater = Inflater(window_bits=15, no_context_takeover=no_takeover)
    with pytest.raises(ProtocolError) as caught:
        inflate(inflater, data, size=size, limit=1000)
    assert caught.value.close_code == 1007
    assert "RFC 7692, section 7.2" in str(caught.value)
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, each_zlib.error)


NOISE = random.Random(1).randbytes(600)


@SIZES
@TAKEOVER
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bytes.fromhex("f248cdc9"), id="in-a-fixed-block"),
        pytest.param(bytes.fromhex("f348cd"), id="in-a-final-block"),
        pytest.param(
            bytes.fromhex("1dc8b9090000108030c5fd77be070b21"), id="in-a-final-dynamic-block"
        ),
        pytest.param(bytes.fromhex("000500faff4865"), id="in-a-stored-block"),
        pytest.param(bytes.fromhex("000500fa"), id="in-a-stored-length"),
        pytest.param(bytes.fromhex("f248cdc9c907000000ffff"), id="trailer-not-removed"),
        pytest.param(raw(NOISE, zlib.Z_SYNC_FLUSH)[:300], id="in-noise"),
        pytest.param(raw(bytes(b % 7 for b in NOISE))[:-1], id="in-a-dynamic-block"),
    ],
)
def test_cut_messages(data: bytes, no_takeover: bool, size: int) -> None:
    inflater = Inflater(window_bits=15, no_context_takeover=no_takeover)
    with pytest.raises(ProtocolError, match=r"section 7\.2") as caught:
        inflate(inflater, data, size=size, limit=1000)
    assert caught.value.close_code == 1007


@pytest.mark.parametrize("bits", [8, 9, 12])
def test_server_exceeds_the_agreed_window(bits: int) -> None:
    unit = random.Random(2).randbytes(60)
    data = raw(unit + random.Random(3).randbytes(20_000) + unit, zlib.Z_SYNC_FLUSH)[:-4]
    message = inflate(Inflater(window_bits=15, no_context_takeover=False), data, size=100)
    assert message.startswith(unit)
    assert message.endswith(unit)
    with pytest.raises(ProtocolError, match=rf"too far back \(the agreed window is 2\*\*{bits}"):
        inflate(Inflater(window_bits=bits, no_context_takeover=False), data, size=100)


@given(st.binary(max_size=60), st.integers(1, 60), BITS, st.booleans(), st.integers(0, 200))
def test_only_documented_errors(
    data: bytes, size: int, bits: int, no_takeover: bool, limit: int
) -> None:
    inflater = Inflater(window_bits=bits, no_context_takeover=no_takeover)
    try:
        message = inflate(inflater, data, size=size, limit=limit)
    except (ProtocolError, MessageTooBigError) as exc:
        close_code = exc.close_code
    else:
        close_code = 1000
        assert len(message) <= limit
    assert close_code in (1000, 1007, 1009)


# --- limits ---------------------------------------------------------------------------------


@settings(max_examples=60)
@given(PAYLOADS.filter(bool), st.booleans(), st.integers(1, 400), st.data())
def test_limit_is_exact(payload: bytes, final: bool, size: int, data: st.DataObject) -> None:
    compressed = raw(payload, zlib.Z_FINISH if final else zlib.Z_SYNC_FLUSH)
    message = compressed if final else compressed[:-4]
    limit = data.draw(st.integers(0, len(payload) - 1))
    for step in (size, len(message)):
        inflater = Inflater(window_bits=15, no_context_takeover=False)
        with pytest.raises(MessageTooBigError) as caught:
            inflate(inflater, message, size=step, limit=limit)
        assert caught.value.limit == limit
        assert str(limit) in str(caught.value)
        inflater = Inflater(window_bits=15, no_context_takeover=False)
        assert inflate(inflater, message, size=step, limit=len(payload)) == payload


@SIZES
def test_limit_holds_across_final_blocks(size: int) -> None:
    inflater = Inflater(window_bits=15, no_context_takeover=False)
    assert inflate(inflater, raw(b"12345") * 3, size=size, limit=15) == b"12345" * 3
    with pytest.raises(MessageTooBigError, match="more than 14 bytes") as caught:
        inflate(inflater, raw(b"12345") * 3, size=size, limit=14)
    assert caught.value.limit == 14


def test_what_the_end_would_bring_out_was_cut() -> None:
    # A stored block of four bytes, which are not there: those that the sender removed, and we
    # put back, would be its content.
    inflater = Inflater(window_bits=15, no_context_takeover=False)
    assert inflater.feed(bytes.fromhex("000400fbff"), None) == b""
    with pytest.raises(ProtocolError, match="ends in the middle"):
        inflater.finish()


@pytest.mark.parametrize("strategy", [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY])
@pytest.mark.parametrize("level", [1, 9])
@pytest.mark.parametrize("alone", [False, True], ids=["takeover", "alone"])
def test_a_message_cut_anywhere_is_found_out(level: int, strategy: int, alone: bool) -> None:
    text = json.dumps([{"id": i * 7919 % 100, "name": f"user {i}"} for i in range(30)]).encode()
    stream = zlib.compressobj(level, zlib.DEFLATED, -15, 8, strategy)
    data = (stream.compress(text) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
    for cut in range(1, len(data)):
        inflater = Inflater(window_bits=15, no_context_takeover=alone)
        inflater.feed(data[:cut], None)
        with pytest.raises(ProtocolError, match="ends in the middle"):
            inflater.finish()


@pytest.mark.parametrize("final", [False, True], ids=["sync", "final"])
def test_bomb_takes_bounded_memory(final: bool) -> None:
    bomb = raw(bytes(8 << 20), zlib.Z_FINISH if final else zlib.Z_SYNC_FLUSH)
    assert len(bomb) < 10_000
    inflater = Inflater(window_bits=15, no_context_takeover=False)
    tracemalloc.start()
    try:
        with pytest.raises(MessageTooBigError, match="more than 1000 bytes"):
            inflater.feed(bomb, 1000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200_000


def test_bomb_of_final_blocks() -> None:
    empty = raw(b"")
    inflater = Inflater(window_bits=15, no_context_takeover=False)
    assert inflate(inflater, empty * 1024, limit=10) == b""
    assert inflate(inflater, empty * 1024, size=100, limit=10) == b""
    with pytest.raises(MessageTooBigError, match="1024 final DEFLATE blocks"):
        inflate(inflater, empty * 1_000_000, limit=10)


def test_limit_beyond_what_c_can_count() -> None:
    inflater = Inflater(window_bits=15, no_context_takeover=False)
    assert inflate(inflater, bytes.fromhex("f248cdc9c90700"), limit=10**30) == b"Hello"
