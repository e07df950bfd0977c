"""One browser and one test authority for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from browser.chromium import Chromium, Identity
from support.unavailable import UnavailableError
from wsclient.testing import CertificateAuthority

CLIENT_NAME = "the person at the browser"
PASSWORD = "of the bundle only"


@pytest.fixture(scope="session")
def authority() -> CertificateAuthority:
    """The authority that the browser trusts; its client certificate is from it, too."""
    return CertificateAuthority("wsclient browser tests")


@pytest.fixture(scope="session")
def chromium(
    authority: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chromium]:
    """The browser; each test opens pages of its own in it."""
    issued = authority.client_certificate(CLIENT_NAME)
    identity = Identity(authority.root_pem, issued.pkcs12(PASSWORD, name=CLIENT_NAME), PASSWORD)
    try:
        running = Chromium(tmp_path_factory.mktemp("chromium"), identity)
    except UnavailableError as error:
        if error.required:
            raise
        pytest.skip(str(error))
    yield running
    running.stop()
