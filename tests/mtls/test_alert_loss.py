"""A server that rejects us under TLS 1.3 says why: 300 times in a row, and never in vain.

Its alert comes behind our own side of the handshake, when we have begun to send the request; and
some servers close TCP at once, which answers the request with RST.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest

from mtls.attempts import Cell, attempt
from mtls.bench import Bench
from mtls.expected import expected
from mtls.scenarios import SCENARIOS
from mtls.servers import RealServer

_ATTEMPTS: Final = 300


@pytest.mark.parametrize("scenario", ["a no certificate", "c expired"])
@pytest.mark.parametrize("server", ["Envoy", "stunnel", "Caddy", "HAProxy"], indirect=True)
async def test_no_alert_is_lost(server: RealServer, scenario: str, bench: Bench) -> None:
    cell = Cell("1.3", "ec-p256", "ec-p256", "direct")
    found: Counter[str] = Counter()
    for _ in range(_ATTEMPTS):
        outcome = await attempt(bench, server, SCENARIOS[scenario], cell)
        found[str(outcome)] += 1
    assert found == {str(expected(server.name, scenario, "1.3")): _ATTEMPTS}
