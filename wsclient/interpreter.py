"""Whether this interpreter can hold the package at all: the first thing that is imported.

A sub-interpreter (``concurrent.interpreters``, Python 3.14 and later) loads only the extension
modules that say they can live in several. cryptography's does not, and its own error names a
module that nobody has heard of. This says what to do instead, before anything else of the package
has been imported.
"""

from __future__ import annotations

__all__: list[str] = []

try:
    # What is imported does not matter: all of it stands on the one extension module.
    from cryptography import x509  # noqa: F401
except ImportError as exc:
    # CPython and PyO3 each have a sentence of their own, and both have this word.
    if "subinterpreter" not in str(exc):
        raise
    raise ImportError(
        "wsclient cannot be imported in a sub-interpreter: it needs cryptography, which does not"
        " support them. Import and use wsclient in the main interpreter, or in a process of its"
        " own (multiprocessing, concurrent.futures.ProcessPoolExecutor)",
        name="wsclient",
    ) from exc
