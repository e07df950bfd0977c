"""The command: ``python -m wsclient``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import platform
import sys
from collections.abc import Sequence

from wsclient import __version__
from wsclient.protocol.codec import codec, why_pure
from wsclient.protocol.zlibs import ZLIB_NAME

from .checking import add_check_command
from .demo import STEPS, Step, run_demo
from .server import serve

__all__ = ["main"]

_INTERRUPTED = 130
"""What shells report for a program that Ctrl-C ended: 128 plus the number of SIGINT."""


def main(arguments: Sequence[str] | None = None, *, steps: Sequence[Step] = STEPS) -> int:
    """Run the command.

    Args:
        arguments: what stands behind the command's name; ``None`` takes those of the process.
        steps: what ``demo`` shows.

    Returns:
        the exit status: 0 when all went well.

    Raises:
        SystemExit: after ``--help`` and ``--version``, and for arguments that cannot be used.
    """
    parser = _make_parser()
    parsed = parser.parse_args(arguments)
    if parsed.command is None:
        parser.print_help()
        return 0
    try:
        return _demo(steps) if parsed.command == "demo" else int(parsed.run(parsed))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has gone, and Python would complain when it flushes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wsclient",
        description="An async WebSocket client for asyncio.",
        # The version stays one line on narrow terminals, too.
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser(
        "demo",
        help="show each style at work, against a server that it starts on this machine",
        description=(
            "Show each style at work, its code and what it printed, against a server that it "
            "starts on this machine. The exit status is 0 only if everything shown happened."
        ),
    )
    add_check_command(commands)
    return parser


def _version() -> str:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    because = f" ({why_pure})" if why_pure else ""
    used = f"compression: {ZLIB_NAME}, frame codec: {codec.NAME}{because}"
    return f"wsclient {__version__}, {python}, {used}"


def _demo(steps: Sequence[Step]) -> int:
    # The transcript shows how connections end; the log would say it a second time.
    logging.getLogger("wsclient").addHandler(logging.NullHandler())
    # The server is on this machine: a proxy of the environment must not get in between.
    os.environ["no_proxy"] = "127.0.0.1"
    return asyncio.run(run_demo(serve, steps))
