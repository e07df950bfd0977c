"""Gives tests a network of their own and keeps account of what came."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from house.checkout import ROOT
from robustness.network.loops import LOOPS, loop_maker
from robustness.network.namespaces import check_available
from robustness.network.network import SERVER, Network
from robustness.network.report import Checker, Results
from support.running import LoopFactory
from support.unavailable import UnavailableError
from wsclient import TLSConfig
from wsclient.testing import CertificateAuthority
from wsclient.testing.certificates import IssuedCertificate

_REPORTS = ROOT / "build" / "robustness"
_RESULTS = pytest.StashKey[Results]()


@pytest.fixture(params=LOOPS)
def loop_factory(request: pytest.FixtureRequest) -> LoopFactory:
    """The maker of the loop that the test runs on."""
    return loop_maker(request.param)


@functools.cache
def _missing() -> UnavailableError | None:
    try:
        check_available()
    except UnavailableError as error:
        return error
    return None


@pytest.fixture
def namespaces() -> None:
    """What this machine must be able to do; skip where it is not."""
    missing = _missing()
    if missing is None:
        return
    if missing.required:
        raise missing
    pytest.skip(str(missing))


@pytest.fixture
def network(namespaces: None) -> Iterator[Network]:
    """A network of the test's own, which the test is in as the client."""
    with Network() as network, network.client.entered():
        yield network


@pytest.fixture(scope="session")
def authority() -> CertificateAuthority:
    """Whom clients trust here."""
    return CertificateAuthority()


@pytest.fixture(scope="session")
def certificate(authority: CertificateAuthority) -> IssuedCertificate:
    """The server's."""
    return authority.server_certificate(SERVER)


@pytest.fixture(scope="session")
def trust(authority: CertificateAuthority) -> TLSConfig:
    """What a client needs to trust the server."""
    return TLSConfig(cadata=authority.certificate_pem)


@pytest.fixture
def check(request: pytest.FixtureRequest) -> Checker:
    """Compares what was seen with the table, and keeps it for the report."""
    results = request.config.stash.setdefault(_RESULTS, Results())
    return Checker(results, request.node.callspec.params["loop_factory"])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Tell where the table is."""
    results = config.stash.get(_RESULTS, None)
    if results:
        place = results.write(_REPORTS).relative_to(ROOT)
        terminalreporter.write_line(f"what clients saw of networks that fail: see {place}")
