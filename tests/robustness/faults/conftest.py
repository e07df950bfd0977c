"""Keeps what comes of each fault, and writes it down as a table."""

from __future__ import annotations

import pytest

from house.checkout import ROOT
from robustness.faults.report import Results
from wsclient import TLSConfig
from wsclient.testing.certificates import IssuedCertificate

_REPORTS = ROOT / "build" / "robustness"
_RESULTS = pytest.StashKey[Results]()


@pytest.fixture(scope="session")
def results(pytestconfig: pytest.Config) -> Results:
    """What comes of the faults; a table of it is written at the end."""
    return pytestconfig.stash.setdefault(_RESULTS, Results())


@pytest.fixture(scope="session")
def trust(certificates: IssuedCertificate) -> TLSConfig:
    """What trusts the servers of the tests."""
    return TLSConfig(cadata=certificates.root_pem)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Tell how many connections met a fault, and where the table is."""
    found = config.stash.get(_RESULTS, None)
    if found is not None and found.connections:
        place = found.write(_REPORTS).relative_to(ROOT)
        terminalreporter.write_line(f"{found.connections} connections met a fault: see {place}")
