"""Gives the attacks a client to attack, and writes down what they came to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from house.checkout import ROOT
from robustness.hostile.identities import Identities
from robustness.hostile.launching import Victims
from robustness.hostile.report import Results
from support.unavailable import UnavailableError

_REPORTS = ROOT / "build" / "robustness"
_RESULTS = pytest.StashKey[Results]()


@pytest.fixture(scope="session")
def victims() -> Iterator[Victims]:
    """The process from which clients are forked."""
    try:
        running = Victims()
    except UnavailableError as error:
        if error.required:
            raise
        pytest.skip(str(error))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def identities(tmp_path_factory: pytest.TempPathFactory) -> Identities:
    """The certificates of the hostile servers."""
    return Identities(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="session")
def results(pytestconfig: pytest.Config) -> Results:
    """What the attacks come to; a table of it is written at the end."""
    return pytestconfig.stash.setdefault(_RESULTS, Results())


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Tell how many attacks there were, and where the table is."""
    found = config.stash.get(_RESULTS, None)
    if found is not None and found.rows:
        place = found.write(_REPORTS).relative_to(ROOT)
        terminalreporter.write_line(f"{len(found.rows)} attacks by hostile servers: see {place}")
