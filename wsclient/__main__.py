"""Run the command: ``python -m wsclient``."""

from __future__ import annotations

import sys

from wsclient.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
