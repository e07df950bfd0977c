"""What each attempt to connect does first: ask for the identity, and find the context for it."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ..handshake.context import HandshakeContext
from ..identity.identity import ClientIdentity
from ..rotation.providers import IdentityProvider
from .cache import context_for, drop_context
from .settings import ContextSettings
from .sources import heed_environment, told

__all__ = ["Prepared", "Preparer", "seconds_to_warning", "warn_of_expiry"]

_logger: Final = logging.getLogger("wsclient.tls")

_MOST_WARNED: Final = 1024
_BOTH: Final = (False, True)

# Fingerprints of identities that were warned of. One that two configurations share is warned of
# once; so is one whose configuration is made anew for each connection.
_warned: Final[OrderedDict[tuple[str, bool], None]] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Prepared:
    """What one attempt to connect uses.

    Attributes:
        context: shared with others, and not to be changed.
        identity: what `context` shows to servers that ask; ``None`` for nothing.
        trust: where the roots come from, as `TLSInfo.trust` tells it.
    """

    context: HandshakeContext
    identity: ClientIdentity | None
    trust: tuple[str, ...]


class Preparer:
    """Prepares attempts to connect, always with the same settings. Any thread may use it.

    Attributes:
        settings: of the context.
        provider: whom to ask for the identity each time; ``None`` for no identity.

    Args:
        settings: see above.
        provider: see above.
        expiry_warning: seconds before its end from which an identity is warned of; ``None`` for
            the last tenth of its lifetime, and 0 for never.
    """

    def __init__(
        self,
        settings: ContextSettings,
        provider: IdentityProvider | None,
        expiry_warning: float | None,
    ) -> None:
        self.settings = settings
        self.provider = provider
        self._expiry_warning = expiry_warning
        self._latest: ClientIdentity | None = None

    async def prepare(self, *, direct: bool = False) -> Prepared:
        """Return the identity of this moment, and a context that shows it.

        When the identity has been replaced, the context of the one before is forgotten.
        Cancelling the call loses nothing: what has been begun is kept for the next one.

        Args:
            direct: as in `context_for`.

        Raises:
            IdentityError: there is no identity, or OpenSSL does not accept it.
            TrustError: the trusted files cannot be used, and could not before.
            TLSConfigurationError: the key log cannot be written.
        """
        identity = None if self.provider is None else await self.provider.get()
        settings = self._settings_now()
        latest, self._latest = self._latest, identity
        if latest is not None and latest != identity:
            drop_context(settings, latest)
        context = await context_for(settings, identity, direct=direct)
        if identity is not None:
            if self._latest != identity:
                # It was replaced meanwhile, and only now put into the cache.
                drop_context(settings, identity)
            warn_of_expiry(identity, self._expiry_warning)
        return Prepared(context, identity, told(settings.trust))

    def _settings_now(self) -> ContextSettings:
        """Return the settings with what the environment says at this moment."""
        trust = heed_environment(self.settings.trust)
        if trust is self.settings.trust:
            return self.settings
        return dataclasses.replace(self.settings, trust=trust)


def warn_of_expiry(identity: ClientIdentity, seconds: float | None) -> None:
    """Log once that an identity is about to expire, and once that it has expired.

    Args:
        identity: what is or would be shown.
        seconds: how long before its end to warn; ``None`` for a tenth of its lifetime, 0 for
            never.
    """
    left = _time_left(identity, seconds)
    if left is None:
        return
    # Once when it is about to expire, and once more when it has.
    warning = (identity.fingerprint_sha256, left < 0)
    if warning in _warned:
        return
    _warned[warning] = None
    while len(_warned) > _MOST_WARNED:
        _warned.popitem(last=False)
    if left < 0:
        _logger.warning("The client certificate %s has expired.", identity.named)
    else:
        _logger.warning(
            "The client certificate %s expires in %s, and has not been replaced.",
            identity.named,
            _duration(left),
        )


def seconds_to_warning(identity: ClientIdentity, seconds: float | None) -> float:
    """Return in how many seconds `warn_of_expiry` will warn of an identity for the first time.

    Args:
        identity: what is shown.
        seconds: as there.

    Returns:
        0.0 if it would now; infinity if it never will, or has.
    """
    window = _window(identity, seconds)
    if window is None or any((identity.fingerprint_sha256, over) in _warned for over in _BOTH):
        return math.inf
    return max(0.0, _left(identity) - window)


def _duration(seconds: float) -> str:
    hours, minutes = divmod(int(seconds // 60), 60)
    return f"{hours // 24} days" if hours >= 48 else f"{hours} h {minutes:02d} min"


def _time_left(identity: ClientIdentity, seconds: float | None) -> float | None:
    """Return for how many seconds it is still valid, if those are too few; else ``None``."""
    window = _window(identity, seconds)
    if window is None:
        return None
    left = _left(identity)
    return left if left <= window else None


def _window(identity: ClientIdentity, seconds: float | None) -> float | None:
    """Return how long before its end to warn of an identity; ``None`` for never."""
    if seconds == 0 or identity.not_after is None:
        return None
    if seconds is not None:
        return seconds
    if identity.not_before is None:
        return None
    return (identity.not_after - identity.not_before).total_seconds() / 10


def _left(identity: ClientIdentity) -> float:
    assert identity.not_after is not None
    return (identity.not_after - _now()).total_seconds()


def _now() -> datetime:
    return datetime.now(UTC)
