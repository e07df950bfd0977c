"""The targets, and what each needs besides its module. Nothing here imports the library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["FOLDER", "HERE", "ROOT", "TARGETS", "Target", "named_target"]

ROOT: Final = Path(__file__).resolve().parents[2]
"""The checkout."""
HERE: Final = Path(__file__).resolve().parent
"""This folder."""
FOLDER = ROOT / "build" / "fuzz"
"""Where a run keeps its corpus, logs and crashes; nothing there is committed."""


@dataclass(frozen=True)
class Target:
    """One target.

    Attributes:
        name: of the module below ``fuzzing.targets``, and of its folders.
        about: what it feeds, for people.
        max_len: bytes of the longest input.
        covers: modules of the library that it is about, for measuring coverage.
        mutator: module that has a `mutate` of its own for these inputs; empty for none.
        distilled: whether inputs found by a run may become seeds in the repository. Those that
            descend from private keys may not.
    """

    name: str
    about: str
    max_len: int
    covers: tuple[str, ...]
    mutator: str = ""
    distilled: bool = True

    @property
    def module(self) -> str:
        """The module with `fuzz`."""
        return f"fuzzing.targets.{self.name}"

    @property
    def seeds(self) -> Path:
        """The folder of its seeds in the repository."""
        return HERE / "seeds" / self.name

    @property
    def dictionary(self) -> Path:
        """The file of words that its inputs are made of, in the form of libFuzzer."""
        return HERE / "dictionaries" / f"{self.name}.dict"

    @property
    def folder(self) -> Path:
        """The folder of what its runs leave behind."""
        return FOLDER / self.name


TARGETS: Final = (
    Target(
        "codec",
        "the frame codec, both roles, in any chunking, against a model",
        2048,
        ("wsclient.protocol.frames",),
        mutator="fuzzing.mutating.frames",
    ),
    Target(
        "messages",
        "frames to messages, with deflate, limits, UTF-8 and Close payloads",
        2048,
        (
            "wsclient.protocol.frames",
            "wsclient.protocol.messages",
            "wsclient.protocol.deflate",
            "wsclient.protocol.closing",
        ),
        mutator="fuzzing.mutating.frames",
    ),
    Target(
        "handshake",
        "the headers of request and answer, on both sides",
        1024,
        ("wsclient.protocol.handshake", "wsclient.protocol.accepting"),
    ),
    Target(
        "identity",
        "private keys and their certificates in PEM, DER and PKCS#12",
        8192,
        (
            "wsclient.tls.files.pem",
            "wsclient.tls.files.keyfile",
            "wsclient.tls.files.misplaced",
            "wsclient.tls.identity.keys",
            "wsclient.tls.identity.loading",
            "wsclient.tls.identity.reading",
        ),
        mutator="fuzzing.mutating.pem",
        distilled=False,
    ),
    Target(
        "certificates",
        "certificates, names and revocation lists: what is said of them, and trusting them",
        4096,
        (
            "wsclient.tls.files.der",
            "wsclient.tls.files.pem",
            "wsclient.tls.certificates.chains",
            "wsclient.tls.certificates.facts",
            "wsclient.tls.certificates.spiffe",
        ),
        mutator="fuzzing.mutating.pem",
    ),
    Target(
        "urls",
        "URLs of servers and proxies, redirects, NO_PROXY",
        512,
        ("wsclient.urls", "wsclient.options.proxies"),
    ),
    Target(
        "tls_messages",
        "messages and alerts of a TLS handshake",
        1024,
        ("wsclient.tls.handshake.messages", "wsclient.tls.handshake.alerts"),
    ),
)


def named_target(name: str) -> Target:
    """Return the target of that name.

    Raises:
        ValueError: there is none; the text names those that there are.
    """
    for target in TARGETS:
        if target.name == name:
            return target
    known = ", ".join(each.name for each in TARGETS)
    raise ValueError(f"there is no target {name!r}; there are {known}")
