"""Build the compiled frame codec where it can be built; pyproject.toml says all the rest.

``WSCLIENT_EXTENSIONS`` decides, whenever a wheel or the like is built:

- ``auto``, as without it: compile; where that fails, go without, and say so in one line.
- ``yes``: compile or fail.
- ``no``: do not compile. The wheel is for every platform.

``CFLAGS`` and ``LDFLAGS`` reach the compiler.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
import textwrap
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

VARIABLE = "WSCLIENT_EXTENSIONS"
MODULE = "wsclient.protocol._codec"
SOURCE = "wsclient/protocol/_codec.pyx"


class BuildCodec(build_ext):
    """Compile; an extension that is optional may fail to."""

    def initialize_options(self) -> None:
        """Have the C file among what is temporary, not in the checkout."""
        super().initialize_options()
        self.cython_c_in_temp = True

    def build_extension(self, ext: Extension) -> None:
        """Compile, or take away what an earlier build left: it would be of another source."""
        ext.extra_compile_args = self.flags()
        try:
            super().build_extension(ext)
        except Exception as exc:
            Path(self.get_ext_fullpath(ext.name)).unlink(missing_ok=True)
            if not ext.optional:
                raise
            go_without("compiling failed: " + textwrap.shorten(str(exc), 100, placeholder=" ..."))

    def flags(self) -> list[str]:
        """Return what CFLAGS does not say; nothing that ties the wheel to this machine's CPU."""
        if self.compiler.compiler_type != "unix":
            return []
        given = os.environ.get("CFLAGS", "").split()
        return [
            flag for flag in ("-O3", "-g0") if not any(each.startswith(flag[:2]) for each in given)
        ]


def extensions() -> list[Extension]:
    """Return what to compile, if anything."""
    choice = os.environ.get(VARIABLE) or "auto"
    if choice not in ("auto", "yes", "no"):
        sys.exit(f"{VARIABLE} is {choice!r}; it may be auto, yes or no")
    obstacle = find_obstacle(choice)
    if choice == "yes" and obstacle:
        sys.exit(f"{VARIABLE} is yes, but {obstacle}")
    if choice == "no" or obstacle:
        if obstacle:
            go_without(obstacle)
        return []
    # cythonize() would drop `optional`; setuptools calls it on this object's behalf.
    return [
        Extension(
            MODULE, [SOURCE], depends=["setup.py", "pyproject.toml"], optional=choice == "auto"
        )
    ]


def find_obstacle(choice: str) -> str | None:
    """Say why nothing can be compiled, or should not be unless it is insisted on."""
    if choice == "no":
        return None
    if importlib.util.find_spec("Cython") is None:
        return "Cython is not installed"
    if choice == "yes":
        return None
    if sys.implementation.name != "cpython":
        return f"{sys.implementation.name} runs plain Python faster than compiled extensions"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "importing it would switch the global lock of this Python on"
    return None


def go_without(reason: str) -> None:
    """Tell why there is no compiled codec."""
    print(f"==> wsclient: going on without the compiled frame codec: {reason}", file=sys.stderr)


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildCodec})
