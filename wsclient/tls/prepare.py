"""From a `TLSConfig` to what an attempt to connect uses."""

from __future__ import annotations

from typing import Final

from .config import TLSConfig
from .contexts.preparing import Prepared

__all__ = ["Prepared", "prepare"]

_DEFAULT: Final = TLSConfig()


async def prepare(config: TLSConfig | None, *, direct: bool = False) -> Prepared:
    """Return the identity and the context for one attempt to connect.

    What has changed since the last attempt is loaded in a thread. Concurrent calls load once,
    from any loop. Cancelling the call leaves the thread to finish by itself; what it has loaded
    is kept for the next call. Without a change it takes some microseconds.

    Args:
        config: ``None`` means all defaults.
        direct: whether the context may be one whose handshakes are not watched, for the sake of
            speed; see `HandshakeContext.go_direct`.

    Raises:
        IdentityError: there is no identity, or OpenSSL does not accept it.
        TrustError: trusted roots or revocation lists cannot be used, and could not before. The
            next call tries again.
        TLSConfigurationError: the key log cannot be written.
    """
    return await (_DEFAULT if config is None else config).preparer.prepare(direct=direct)
