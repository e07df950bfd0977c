"""What an HTTP proxy means that refuses to open a tunnel."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from yarl import URL

from ..errors import ProxyError
from ..urls import shown_url

__all__ = ["proxy_refusal"]

_PROXY_AUTHENTICATION_REQUIRED: Final = 407

# RFC 9110, section 11.6.1: the same comma separates challenges and their parameters. Behind a
# scheme comes white space, a comma or the end; behind a parameter's name an equals sign.
_SCHEME: Final = re.compile(
    r"(?:^|,)\s*([A-Za-z][A-Za-z0-9!#$%&'*+.^_`|~-]{0,30})(?=\s+[^\s=]|\s*(?:,|$))"
)
_QUOTED: Final = re.compile(r'"(?:\\.|[^"\\])*"')
_MOST_SCHEMES: Final = 5
_MOST_READ: Final = 4096
_SPOKEN: Final = "basic"


def proxy_refusal(
    proxy: URL | None, status: int, challenges: Iterable[str], *, credentials: bool
) -> ProxyError:
    """Return the error for a proxy that has answered CONNECT with anything but success.

    Args:
        proxy: the proxy.
        status: of its answer.
        challenges: the values of Proxy-Authenticate.
        credentials: whether it was sent any.

    Source: RFC 9110, section 15.5.8.
    """
    hint = ""
    if status == _PROXY_AUTHENTICATION_REQUIRED:
        hint = _hint(_schemes(challenges), credentials=credentials)
    shown = "" if proxy is None else shown_url(proxy)
    return ProxyError(
        f"the proxy {shown} refused the tunnel with status {status}.", status=status, hint=hint
    )


def _schemes(challenges: Iterable[str]) -> list[str]:
    """Return the schemes that are asked for, each once, in order; few of them."""
    bare = (_QUOTED.sub('""', text[:_MOST_READ]) for text in challenges)
    found = (name for text in bare for name in _SCHEME.findall(text))
    return list(dict.fromkeys(found))[:_MOST_SCHEMES]


def _hint(schemes: list[str], *, credentials: bool) -> str:
    asked = f" It asks for {', '.join(schemes)}." if schemes else ""
    if schemes and _SPOKEN not in (each.lower() for each in schemes):
        return (
            f"The proxy asks for {', '.join(schemes)}, and wsclient speaks Basic alone: use a "
            "proxy in between that does the rest, or another one."
        )
    if credentials:
        return f"The proxy was sent credentials, and did not accept them: check them.{asked}"
    return f"The proxy wants credentials: put them into the proxy's URL.{asked}"
