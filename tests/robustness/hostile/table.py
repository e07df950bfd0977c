"""The attacks and what must come of each: the promises about hostile servers.

Memory is the growth of the whole process at its peak, in MiB, compared with the moment before it
connects; about 1 MiB of it is the measurement's own, as the first row shows.
"""

from __future__ import annotations

from .attacks import answers, compressed, framing, proxies, redirects, tls
from .case import Case

__all__ = ["CASES"]

# Where the bounds come from.
FEW = "nothing is kept but one read of 256 KiB, copied"
HEAD = "128 headers of 8,190 bytes: as bytes, as text, joined by name"
COOKIES = "256 KiB of cookies from each of 3 answers, as text and parsed"
BODY = "64 KiB of body, behind which reading pauses"
TLS = "one read, OpenSSL, the trusted root"
ONE = "max_message_size, received, joined and inflated"
WIDE = "16 x max_message_size: 4 bytes a character, decoded, joined, and the text before it"
QUEUE = "max_queue_size or 1,024 messages, and one read more"
SMALL = "one read of 65,536 messages, each an object of 35 bytes and more"
INFLATED = "max_queue_size, 16 MiB from a slice of 16 KiB, and 6 x max_message_size of copies"
ADDRESSES = "the errors of 64 addresses, each with its traceback"
INTERIM = "2 MiB before the answer: 80,000 heads, of 400 bytes each once they are parsed"
SENT = "what the transport holds back: 64 KiB, 512 KiB with TLS"

# Outcomes.
CLEAN = "CLOSING_HANDSHAKE, sent 1000, received 1000"
BROKEN = "PROTOCOL_ERROR, sent 1002"
TOO_BIG = "MESSAGE_TOO_BIG, sent 1009"
UNANSWERED = "CLOSE_TIMEOUT, sent 1000"
LATE = "ConnectTimeoutError"
NO_HTTP = "ConnectError"
REFUSED = "HandshakeError 403"
WRONG_101 = "HandshakeError 101"
REDIRECT = "RedirectError"
PROXY = "ProxyError"

SOON = {"connect_timeout": 0.3}
CLOSE_SOON = {"close_timeout": 0.2}
DEFLATE = {"compression_options": {}, **CLOSE_SOON}
CHAT = {"subprotocols": ["chat", "superchat"]}

# One or two lines for each attack are a table; a line for each word is none.
# fmt: off
_ANSWERS = [
    Case("nothing evil, for comparison", answers.polite, CLEAN, 2, FEW, messages=1),
    Case("100,000 headers", answers.header_flood, WRONG_101, 8, HEAD),
    Case("100 headers of one name, 8,000 bytes each", answers.repeated_headers, WRONG_101, 8,
         HEAD),
    Case("one header of 100 MB", answers.huge_header, WRONG_101, 8, HEAD),
    Case("an endless status line", answers.endless_status_line, WRONG_101, 8, HEAD),
    Case("an endless header name", answers.endless_header_line, WRONG_101, 8, HEAD),
    Case("endless junk", answers.junk, NO_HTTP, 8, HEAD),
    Case("cookies of 248 KB in each answer", answers.cookie_flood, REDIRECT, 16, COOKIES,
         options={"max_redirects": 3}),
    Case("cookies of 800 KB", answers.too_many_cookies, "HandshakeError 302", 8, HEAD),
    Case("100 Continue without end", answers.endless_informational, NO_HTTP, 48, INTERIM),
    Case("103 with 70 KB of headers without end", answers.early_hints_flood, NO_HTTP, 48, INTERIM),
    Case("silence", answers.silence, LATE, 2, FEW, options=SOON),
    Case("a head at one byte each 20 ms", answers.dripping_head, LATE, 2, FEW, options=SOON),
    Case("403 with an endless body", answers.endless_body, REFUSED, 4, BODY),
    Case("403 with a body at one byte each 20 ms", answers.dripping_body, REFUSED, 2, BODY,
         options=SOON),
    Case("403 with 32 MiB in 32 KiB of gzip", answers.gzip_bomb, REFUSED, 2, BODY),
    Case("403 with chunk extensions of 64 KiB", answers.huge_chunk_extensions, REFUSED, 4, BODY),
    Case("403 with an endless chunk extension", answers.endless_chunk_extension, REFUSED, 4, BODY),
    Case("403 with endless trailers", answers.endless_trailers, NO_HTTP, 8, HEAD),
    Case("101 and frames in one segment", answers.accept_with_frames, CLEAN, 2, FEW, messages=1),
    Case("101 with a Content-Length", answers.accept_with_body, CLEAN, 2, FEW, messages=1),
    Case("101 with chunks", answers.accept_with_chunks, BROKEN, 2, FEW, options=CLOSE_SOON),
    Case("101 twice", answers.two_accepts, BROKEN, 2, FEW, options=CLOSE_SOON),
    Case("101 and messages without end", answers.flood_behind_accept, UNANSWERED, 16, QUEUE,
         task="hold", options=CLOSE_SOON),
    Case("101 to another request", answers.wrong_accept, WRONG_101, 2, FEW),
    Case("101 to another protocol", answers.wrong_upgrade, WRONG_101, 2, FEW),
    Case("101 without Connection", answers.accept_without_connection, WRONG_101, 2, FEW),
    Case("a subprotocol that was not offered", answers.unasked_subprotocol, WRONG_101, 2, FEW,
         options=CHAT),
    Case("two subprotocols", answers.two_subprotocols, WRONG_101, 2, FEW, options=CHAT),
    Case("an unknown extension", answers.unknown_extension, WRONG_101, 2, FEW, options=DEFLATE),
    Case("permessage-deflate twice", answers.double_extension, WRONG_101, 2, FEW, options=DEFLATE),
    Case("permessage-deflate with 115,000 parameters", answers.accept_with_deflate_parameters,
         WRONG_101, 24, HEAD, options=DEFLATE),
    Case("permessage-deflate with 1 MB of parameters", answers.extension_of_a_megabyte,
         WRONG_101, 4, HEAD, options=DEFLATE),
    Case("escape sequences in the reason phrase", answers.ansi_in_reason, REFUSED, 2, FEW),
    Case("escape sequences in Retry-After", answers.ansi_in_retry_after, "HandshakeError 503", 2,
         FEW),
    Case("8,000 characters in Retry-After", answers.csi_in_retry_after, "HandshakeError 503", 2,
         FEW),
    Case("escape sequences in Sec-WebSocket-Accept", answers.ansi_in_accept, WRONG_101, 2, FEW),
]

_REDIRECTS = [
    Case("redirects without end", redirects.endless, REDIRECT, 2, FEW),
    Case("redirects back and forth", redirects.loop, REDIRECT, 2, FEW),
    Case("redirects to nothing", redirects.empty_location, REDIRECT, 2, FEW),
    Case("redirects of 8,000 bytes", redirects.endless_and_long, REDIRECT, 3, FEW),
    Case("redirects with endless bodies", answers.redirect_with_endless_body, REDIRECT, 4, BODY),
    Case("a redirect to a file", redirects.away("file:///etc/passwd"), REDIRECT, 2, FEW),
    Case("a redirect to FTP", redirects.away("ftp://127.0.0.1/x"), REDIRECT, 2, FEW),
    Case("a redirect to data", redirects.away("data:text/html,hello"), REDIRECT, 2, FEW),
    Case("a redirect to a script", redirects.away("javascript:alert(1)"), REDIRECT, 2, FEW),
    Case("a redirect to no host", redirects.away("ws://"), REDIRECT, 2, FEW),
    Case("a redirect to a port that is none", redirects.away("ws://127.0.0.1:99999/"), REDIRECT, 2,
         FEW),
    Case("a redirect to a host with spaces", redirects.away("ws://a b\x1b[2J/"), REDIRECT, 2, FEW),
    Case("a redirect to bytes", redirects.not_a_text, REDIRECT, 2, FEW),
    Case("a redirect with a line break", redirects.line_break, REDIRECT, 2, FEW),
    Case("a redirect with an encoded line break", redirects.line_break_in_percent, REFUSED, 2,
         FEW),
    Case("a redirect with name and password", redirects.userinfo, REFUSED, 2, FEW),
    Case("a redirect to another origin", redirects.other_origin, REFUSED, 8, TLS, role="wss",
         options={"headers": {"Authorization": "Bearer token"}, "cookies": {"session": "token"}}),
    Case("a redirect from wss:// to ws://", redirects.downgrade, REDIRECT, 8, TLS, role="wss"),
]

_FRAMES = [
    Case("a frame of 2**63 bytes", framing.announce_2_to_the_63, BROKEN, 3, FEW),
    Case("a frame of 2**63 - 1 bytes", framing.announce_most, TOO_BIG, 3, FEW),
    Case("a frame of 10 GiB", framing.announce_more_than_the_limit, TOO_BIG, 3, FEW),
    Case("a frame of 10 GiB, without a limit", framing.announce_ten_gibibytes, "EOF", 12,
         "the 4 MiB that came", options={"max_message_size": None}),
    Case("fragments of one byte without end", framing.one_byte_fragments, TOO_BIG, 6,
         "one byte for each of 655,360 fragments", seconds=30),
    Case("fragments of nothing without end", framing.empty_fragments, TOO_BIG, 3, FEW, seconds=30),
    Case("the widest texts below the limit", framing.wide_text, CLEAN, 160, WIDE, messages=3),
    Case("empty messages to nobody", framing.empty_messages, UNANSWERED, 8, SMALL, task="hold",
         options=CLOSE_SOON),
    Case("messages of two bytes to nobody", framing.two_byte_messages, UNANSWERED, 12, SMALL,
         task="hold", options=CLOSE_SOON),
    Case("messages of two bytes to a slow reader", framing.two_byte_messages, UNANSWERED, 12,
         SMALL, task="read slowly", options=CLOSE_SOON),
    Case("messages of two bytes to a slow callback", framing.two_byte_messages, UNANSWERED, 12,
         SMALL, task="slow callback", options=CLOSE_SOON),
    Case("messages of 1,000 bytes to nobody", framing.small_messages, UNANSWERED, 12, QUEUE,
         task="hold", options=CLOSE_SOON),
    Case("messages of 1,000 bytes to a slow callback", framing.small_messages, UNANSWERED, 12,
         QUEUE, task="slow callback", options=CLOSE_SOON),
    Case("pings without end", framing.ping_flood, UNANSWERED, 4, SENT, task="hold",
         options=CLOSE_SOON),
    Case("pings without end, pongs not read", framing.ping_flood_without_reading, UNANSWERED, 4,
         SENT, task="hold", options=CLOSE_SOON, hold=1.0),
    Case("pings without end, pongs not read, in TLS", framing.ping_flood_without_reading,
         UNANSWERED, 8, SENT, task="hold", options=CLOSE_SOON, hold=1.0, role="wss"),
    Case("pings without end to a slow reader", framing.ping_flood, UNANSWERED, 4, SENT,
         task="read slowly", options=CLOSE_SOON),
    Case("pongs without end", framing.pong_flood, UNANSWERED, 4, FEW, task="hold",
         options=CLOSE_SOON),
    Case("nothing is taken of what we send", framing.never_read, UNANSWERED, 4, SENT, task="write",
         options=CLOSE_SOON),
    Case("a frame at one byte each 20 ms", framing.dripping_frame, UNANSWERED, 2, FEW, task="hold",
         options={"ping_interval": 0.1, "ping_timeout": 0.1, **CLOSE_SOON}),
    Case("no answer to our Close", framing.unanswered_close, UNANSWERED, 2, FEW, task="hold",
         hold=0.1, options=CLOSE_SOON),
    Case("messages without end behind Close", framing.data_after_close, CLEAN, 3, FEW),
    Case("Close without end", framing.close_again_and_again, CLEAN, 3, FEW),
    Case("half of TCP ended", framing.half_close, "EOF", 2, FEW),
    Case("a close reason that is not UTF-8", framing.bad_utf8_close_reason,
         "PROTOCOL_ERROR, sent 1007", 2, FEW, options=CLOSE_SOON),
    Case("a close reason for terminals", framing.ansi_in_close_reason,
         "CLOSING_HANDSHAKE, sent 1008, received 1008", 2, FEW),
]

_COMPRESSED = [
    Case("1 GiB in a frame of 1 MB", compressed.bomb_in_one_frame, TOO_BIG, 40, ONE,
         options=DEFLATE),
    Case("1 GiB in fragments of 100 bytes", compressed.bomb_in_fragments, TOO_BIG, 40, ONE,
         options=DEFLATE),
    Case("blocks of nothing without end", compressed.empty_blocks, TOO_BIG, 3, FEW,
         options=DEFLATE, seconds=30),
    Case("final blocks without end", compressed.final_blocks, TOO_BIG, 3, FEW, options=DEFLATE),
    Case("900 MiB in final blocks", compressed.final_blocks_bomb, TOO_BIG, 40, ONE,
         options=DEFLATE),
    Case("160 MiB in 20 messages, window kept", compressed.bomb_with_takeover, CLEAN, 80, INFLATED,
         options=DEFLATE, messages=20),
    Case("messages of 10 MiB in 10 KB to nobody", compressed.bombs_below_the_limit, UNANSWERED, 80,
         INFLATED, options=DEFLATE, task="hold"),
    Case("messages of 10 MiB in 10 KB to a slow reader", compressed.bombs_below_the_limit,
         UNANSWERED, 80, INFLATED, options=DEFLATE, task="read slowly"),
    Case("messages of 10 MiB in 10 KB to a slow callback", compressed.bombs_below_the_limit,
         UNANSWERED, 80, INFLATED, options=DEFLATE, task="slow callback"),
    Case("texts of 10 MiB in 10 KB to nobody", compressed.text_bombs_below_the_limit, UNANSWERED,
         80, INFLATED, options=DEFLATE, task="hold"),
]

_TLS = [
    Case("nothing evil within TLS", answers.polite, CLEAN, 8, TLS, role="wss", messages=1),
    Case("a handshake at one byte each 20 ms", tls.dripping_handshake, LATE, 8, TLS,
         role="not tls", options=SOON),
    Case("silence in place of a handshake", answers.silence, LATE, 8, TLS, role="not tls",
         options=SOON),
    Case("a handshake message of 16 MiB", tls.endless_handshake, "TLSProtocolError", 8, TLS,
         role="not tls"),
    Case("endless junk in place of TLS", tls.junk, "TLSProtocolError", 8, TLS, role="not tls"),
    Case("10,000 records of one byte", tls.one_byte_records, CLEAN, 8, TLS, role="wss",
         messages=1),
    Case("100 intermediate certificates", answers.polite, CLEAN, 8, TLS, role="wss",
         identity="long chain", messages=1),
    Case("300 intermediate certificates", answers.polite, "TLSProtocolError", 8, TLS, role="wss",
         identity="endless chain"),
    Case("a certificate of 1 MB", answers.polite, "TLSProtocolError", 8, TLS, role="wss",
         identity="huge"),
    Case("escape sequences in the issuer", answers.polite, "ServerCertificateError", 8, TLS,
         role="wss", identity="escapes"),
    Case("escape sequences in the name", answers.polite, "ServerCertificateError", 8, TLS,
         role="wss", identity="other name"),
    Case("escape sequences in the authority asked for", answers.polite,
         "ClientCertificateRejected", 8, TLS, role="wss", identity="wants ours"),
]

_PROXIES = [
    Case("endless headers from the proxy", proxies.endless_headers, "ProxyError 200", 8, HEAD,
         role="http proxy"),
    Case("an endless status line from the proxy", proxies.endless_status_line, "ProxyError 200", 8,
         HEAD, role="http proxy"),
    Case("100 Continue without end from the proxy", proxies.endless_informational, PROXY, 48,
         INTERIM, role="http proxy"),
    Case("407 with an endless body", proxies.endless_407, "ProxyError 407", 4, BODY,
         role="http proxy"),
    Case("a redirect from the proxy", proxies.redirect, "ProxyError 302", 2, FEW,
         role="http proxy"),
    Case("bytes behind the tunnel's head", proxies.body_behind_tunnel, LATE, 2, FEW,
         role="http proxy", options=SOON),
    Case("bytes without end behind the tunnel's head", proxies.flood_behind_tunnel, NO_HTTP, 6,
         FEW, role="http proxy", options=SOON),
    Case("escape sequences from the proxy", proxies.ansi_in_reason, "ProxyError 403", 2, FEW,
         role="http proxy"),
    Case("a proxy at one byte each 20 ms", proxies.dripping_head, LATE, 2, FEW, role="http proxy",
         options=SOON),
    Case("a silent proxy", proxies.silence, LATE, 2, FEW, role="http proxy", options=SOON),
    Case("endless junk from the proxy", proxies.junk, PROXY, 8, HEAD, role="http proxy"),
    Case("a SOCKS proxy at one byte each 20 ms", proxies.dripping_socks, LATE, 4, FEW,
         role="socks proxy", options=SOON),
    Case("a silent SOCKS proxy", proxies.silence, LATE, 4, FEW, role="socks proxy", options=SOON),
    Case("endless junk from the SOCKS proxy", proxies.socks_junk, PROXY, 4, FEW,
         role="socks proxy"),
]

_ADDRESSES = [
    Case("10 addresses that refuse", answers.silence, "ConnectError", 3, FEW, role="refusing",
         options={"addresses": 10}),
    Case("1,000 addresses that refuse", answers.silence, "ConnectError", 8, ADDRESSES,
         role="refusing", options={"addresses": 1000}),
    Case("1,000 addresses that never answer", answers.silence, LATE, 4, FEW, role="hanging",
         options={"addresses": 1000, **SOON}),
]
# fmt: on

CASES = [*_ANSWERS, *_REDIRECTS, *_FRAMES, *_COMPRESSED, *_TLS, *_PROXIES, *_ADDRESSES]
"""All attacks, in the order in which a connection comes to meet them."""
