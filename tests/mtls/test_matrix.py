"""Every fault, on every real server, in every way to connect: class, reason, alert and code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mtls.attempts import Cell, WrongError, attempt
from mtls.bench import ROUTES, Bench
from mtls.expected import DEVIATIONS, ROWS, expected
from mtls.report import Results
from mtls.scenarios import SCENARIOS
from mtls.servers import SERVERS, RealServer
from wsclient import ConnectError, ProxyError, TLSConfig, TLSError, websocket_connect


def rows() -> Iterator[object]:
    """Make one case of each server and each scenario that it can take part in."""
    for name, server in SERVERS.items():
        for title, scenario in SCENARIOS.items():
            if scenario.fits(server):
                yield pytest.param(name, title, id=f"{name}: {title}")


def cells(scenario: str, server: RealServer) -> Iterator[Cell]:
    """Yield all ways to try a scenario on a server."""
    tried = SCENARIOS[scenario]
    for server_key, client_key in tried.key_pairs(type(server)):
        for version in tried.versions:
            for route in ROUTES:
                yield Cell(version, server_key, client_key, route)


@pytest.mark.parametrize(("server", "scenario"), list(rows()), indirect=["server"])
async def test_matrix(server: RealServer, scenario: str, bench: Bench, results: Results) -> None:
    wrong = []
    for cell in cells(scenario, server):
        wanted = expected(server.name, scenario, cell.version)
        try:
            outcome = await attempt(bench, server, SCENARIOS[scenario], cell)
        except WrongError as error:
            wrong.append(f"{cell}: {error}")
            continue
        results.add(server.name, scenario, cell.version, outcome)
        if outcome != wanted:
            wrong.append(f"{cell}: {outcome}; expected: {wanted}")
    assert not wrong, "\n" + "\n".join(wrong) + f"\n{server.name} said:\n{server.said()}"


@pytest.mark.parametrize("route", ROUTES)
async def test_nobody_listens(route: str, closed_port: int, bench: Bench) -> None:
    with pytest.raises(ConnectError) as caught:
        await websocket_connect(
            f"wss://127.0.0.1:{closed_port}/",
            tls=TLSConfig(cadata=bench.material.trust),
            proxy=bench.proxy(route),
            proxy_tls=bench.proxy_tls if route == "https proxy" else None,
        )
    assert not isinstance(caught.value, TLSError)
    if route == "direct":
        assert caught.value.phase == "tcp"
    else:
        assert isinstance(caught.value, ProxyError)
        assert caught.value.status == 502


def test_the_table_is_whole() -> None:
    assert list(ROWS) == list(SCENARIOS)
    assert set(DEVIATIONS) <= set(SERVERS)
    for server, rows_of_it in DEVIATIONS.items():
        assert set(rows_of_it) <= set(ROWS)
        needless = [title for title, row in rows_of_it.items() if row == ROWS[title]]
        assert not needless, f"{server} does not differ in {needless}"
