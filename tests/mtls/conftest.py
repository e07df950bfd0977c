"""Gives the tests of mutual TLS the real servers that they ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from house.checkout import ROOT
from mtls.bench import Bench
from mtls.report import Results
from mtls.servers import RealServer
from support.unavailable import UnavailableError

_REPORTS = ROOT / "build" / "mtls"
_RESULTS = pytest.StashKey[Results]()


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """All servers and proxies; each server is started when first asked for."""
    running = Bench(tmp_path_factory.mktemp("mtls"))
    yield running
    running.stop()


@pytest.fixture
def server(request: pytest.FixtureRequest, bench: Bench) -> RealServer:
    """A running server, by its name."""
    try:
        return bench.server(request.param)
    except UnavailableError as error:
        if error.required:
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def results(pytestconfig: pytest.Config) -> Results:
    """What comes of the attempts; a table of it is written at the end."""
    return pytestconfig.stash.setdefault(_RESULTS, Results())


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Tell how many attempts there were, and where the table is."""
    found = config.stash.get(_RESULTS, None)
    if found is not None and found.cells:
        place = found.write(_REPORTS).relative_to(ROOT)
        terminalreporter.write_line(f"{found.cells} attempts to connect: see {place}")
