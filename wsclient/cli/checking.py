"""The command ``check-tls``: what `check_tls` finds out, on the terminal or as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import math
import os
import ssl
import sys
from typing import Any, Final

from wsclient import ClientIdentity, InvalidURLError, TLSConfig, TLSConfigurationError, check_tls

__all__ = ["add_check_command", "run_check"]

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

_IN_ASCII: Final = str.maketrans({"→": ">", "←": "<", "…": "..."})


def add_check_command(commands: Any) -> None:
    """Add the command and its arguments to a parser.

    Args:
        commands: what `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        "check-tls",
        help="do a TLS handshake with a server, and tell what each side sent and checked",
        description=(
            "Do a TLS handshake with a server and nothing else, and tell what each side sent and "
            "checked: which client certificates the server asks for, whether yours fits, and why "
            "it fails. The exit status is 0 if the handshake succeeded, 1 if it did not, "
            "and 2 if the arguments cannot be used. No proxy is used."
        ),
        allow_abbrev=False,
    )
    parser.add_argument("url", metavar="URL", help="wss:// or https://; the path does not matter")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long each connection may take (default: 10)",
    )
    _add_identity(parser.add_argument_group("your certificate"))
    _add_server(parser.add_argument_group("the server's certificate"))
    parser.set_defaults(run=run_check, parser=parser)


def _add_identity(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--cert", metavar="FILE", help="certificate and those above it, PEM")
    group.add_argument("--key", metavar="FILE", help="its private key, PEM, if not in --cert")
    group.add_argument("--pkcs12", metavar="FILE", help="certificate and key as PKCS#12")
    group.add_argument(
        "--password-file", metavar="FILE", help="the key's password is the first line of this file"
    )
    group.add_argument(
        "--password-env", metavar="NAME", help="it is the value of this environment variable"
    )
    # Refused without being repeated in the message.
    group.add_argument("--password", help=argparse.SUPPRESS)


def _add_server(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--cafile", metavar="FILE", help="trusted roots, PEM")
    group.add_argument("--capath", metavar="DIR", help="trusted roots, as openssl rehash makes it")
    group.add_argument(
        "--trust",
        choices=("certifi", "system"),
        help="public roots; if there are no others, those of SSL_CERT_FILE and SSL_CERT_DIR, "
        "else certifi's",
    )
    group.add_argument("--crlfile", metavar="FILE", help="revoked certificates")
    group.add_argument("--server-name", metavar="NAME", help="name to ask for and to check")
    group.add_argument(
        "--pin", action="append", default=[], metavar="PIN", help="sha256//...; may be repeated"
    )
    group.add_argument(
        "--spiffe-id", action="append", default=[], metavar="ID", help="may be repeated"
    )
    group.add_argument("--spiffe-trust-domain", metavar="DOMAIN", help="of the server")
    group.add_argument("--no-verify", action="store_true", help="accept any certificate")
    group.add_argument("--tls", choices=tuple(_VERSIONS), help="speak this version alone")


# In the words of the command, where those of the errors are Python's.
_HINTS: Final = {
    "certificate_is_der": "Use --pkcs12 for PKCS#12; convert DER: openssl x509 -inform der.",
    "key_missing": "Give the private key as --key.",
    "password_required": "Give it by --password-file or --password-env.",
    "swapped_files": "Exchange --cert and --key.",
}


def run_check(arguments: argparse.Namespace) -> int:
    """Check, and print the report.

    Args:
        arguments: of the command, parsed.

    Returns:
        the exit status: 0 if the handshake succeeded, else 1.

    Raises:
        SystemExit: with status 2, if the arguments cannot be used.
        KeyboardInterrupt: somebody does not want to wait.
    """
    # What the log has to say is in the report.
    logging.getLogger("wsclient").addHandler(logging.NullHandler())
    parser: argparse.ArgumentParser = arguments.parser
    try:
        config = _config(arguments, parser)
        report = asyncio.run(
            check_tls(arguments.url, tls=config, connect_timeout=arguments.timeout)
        )
    except TLSConfigurationError as exc:
        # Without the usage: nothing is wrong with that.
        fault = str(exc).removesuffix(exc.hint).rstrip()
        hint = _HINTS.get(exc.reason, exc.hint)
        parser.exit(2, f"{parser.prog}: error: {f'{fault} {hint}'.rstrip()}\n")
    except InvalidURLError as exc:
        parser.error(str(exc))
    if arguments.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print(_printable(str(report)))
    return 0 if report.ok else 1


def _config(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> TLSConfig:
    minimum = _VERSIONS.get(arguments.tls, ssl.TLSVersion.TLSv1_2)
    return TLSConfig(
        **_identity(arguments, parser),
        trust=arguments.trust,
        cafile=arguments.cafile,
        capath=arguments.capath,
        crlfile=arguments.crlfile,
        verify=not arguments.no_verify,
        server_hostname=arguments.server_name,
        pinned_public_keys=arguments.pin,
        spiffe_ids=arguments.spiffe_id,
        spiffe_trust_domain=arguments.spiffe_trust_domain,
        minimum_version=minimum,
        maximum_version=_VERSIONS.get(arguments.tls),
    )


def _identity(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Return the arguments of `TLSConfig` that tell who we are."""
    if arguments.cert is not None and arguments.pkcs12 is not None:
        parser.error("--cert and --pkcs12 exclude each other.")
    if arguments.key is not None and arguments.cert is None:
        parser.error("--key needs --cert with the certificate.")
    password = _password(arguments, parser)
    if arguments.pkcs12 is not None:
        return {"identity": ClientIdentity.from_pkcs12(arguments.pkcs12, password)}
    if arguments.cert is not None:
        return {"cert": (arguments.cert, arguments.key, password)}
    if password is not None:
        parser.error("A password is for a key: give --cert or --pkcs12, too.")
    return {}


def _password(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> str | None:
    """Return the password."""
    if arguments.password is not None:
        parser.error(
            "Everybody on this machine can see a password in the arguments: use --password-file "
            "or --password-env."
        )
    path, name = arguments.password_file, arguments.password_env
    if path is not None and name is not None:
        parser.error("--password-file and --password-env exclude each other.")
    if name is not None:
        if name not in os.environ:
            parser.error(f"--password-env: there is no environment variable {name}.")
        return os.environ[name]
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().rstrip("\r\n")
    except OSError as exc:
        parser.error(f"--password-file: {path} cannot be read: {exc.strerror}.")
    except UnicodeDecodeError:
        # Its text would show the password.
        parser.error(f"--password-file: {path} is not text in UTF-8.")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError("it must be a number of seconds, more than 0")
    return value


def _printable(text: str) -> str:
    """Return `text` without what the terminal has no characters for."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_IN_ASCII).encode(encoding, "replace").decode(encoding)
    return text
