"""The code in README.md and docs/*.md works, and so does every example.

How to write code into a page:

- Each block fenced with three backticks and the word ``python`` alone runs as a test. ``await``,
  ``async with`` and ``async for`` may stand at its top level.
- ``ws://localhost:8888`` is replaced by the address of a server that runs during the tests. It
  takes any path, echoes every message, and picks the first subprotocol offered. On the path
  ``/ticks`` it sends the texts "1", "2" and "3" instead, and closes.
- ``wss://localhost:8443`` is replaced in the same way. That server requires client certificates;
  the folder in which blocks run has what is needed for it: ``tls.crt``, ``tls.key``, ``ca.crt``,
  ``client.p12`` with the password "a secret", ``svid.pem``, ``svid_key.pem``, ``bundle.pem`` and
  ``ca.crl``. Its SPIFFE id is ``spiffe://example.org/billing``, and `PIN` stands for its pin.
- A block that begins with a file name in a comment, ``# chat.py``, is that file. The files of a
  chain (see below) are written into one folder, and pytest runs those called ``test_*.py``.
- Each block starts afresh. After a line ``<!-- continues -->`` it continues the block before,
  with the same names and in the same event loop.
- Python code that would not run is shown in no other way: all words but ``python`` that look
  like it are refused.

Each file of examples/ runs in a process of its own, without arguments, and must exit with 0 soon.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import logging
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

from house.checkout import ROOT
from support.programs import Programs, programs
from wsclient.testing import (
    CertificateAuthority,
    EchoHandler,
    IssuedCertificate,
    ThreadedTLSServer,
    WebSocketTestServer,
)

ADDRESS = "ws://localhost:8888"
SECURE_ADDRESS = "wss://localhost:8443"
PIN = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
CONTINUES = "<!-- continues -->"
EXAMPLE_TIMEOUT = 30.0  # seconds
FILE_NAME = re.compile(r"# (\w+\.py)\n")

FENCE = re.compile(r"^(?P<indent>[ ]*)(?P<mark>`{3,}|~{3,})[ ]*(?P<info>[^`]*?)[ ]*$")
# What Python prints, with exit code 0, about things that were left behind.
LEFT_BEHIND = re.compile(
    r"Exception ignored|Warning:|was never (?:awaited|retrieved)|was destroyed but it is pending"
    r"|Unclosed (?:client session|connector|connection)"
)


@dataclass(frozen=True)
class Block:
    """One fenced block of Python."""

    line: int
    """Of its first line of code, from 1."""
    source: str
    continues: bool


class PageError(Exception):
    """The page itself breaks a rule that stands at the top of this file."""


# Reading pages.


def blocks(text: str) -> Iterator[Block]:
    """Find the blocks of Python on a page."""
    lines = text.splitlines()
    before = ""
    number = 0
    while number < len(lines):
        fence = FENCE.match(lines[number])
        if not fence:
            before = lines[number].strip() or before
            number += 1
            continue
        end = closing_fence(lines, number, fence["mark"])
        if is_python(fence["info"], number + 1):
            source = textwrap.dedent("\n".join(lines[number + 1 : end])) + "\n"
            yield Block(number + 2, source, continues=before == CONTINUES)
        elif before == CONTINUES:
            raise PageError(f"line {number + 1}: only a block of python can continue another")
        before = ""
        number = end + 1


def closing_fence(lines: list[str], start: int, mark: str) -> int:
    for number in range(start + 1, len(lines)):
        text = lines[number].strip()
        if text.startswith(mark) and set(text) == {mark[0]}:
            return number
    raise PageError(f"line {start + 1}: this block is never closed")


def is_python(info: str, line: int) -> bool:
    if info == "python":
        return True
    if re.match(r"\{?\.?py", info, re.IGNORECASE):
        raise PageError(f"line {line}: write ```python alone, so that the block runs: {info!r}")
    return False


def chains(text: str) -> list[list[Block]]:
    """Put each block together with those that continue it."""
    found: list[list[Block]] = []
    for block in blocks(text):
        if not block.continues:
            found.append([block])
        elif found:
            found[-1].append(block)
        else:
            raise PageError(f"line {block.line}: there is no block before it to continue")
    return found


# Running blocks.


def run_files(chain: list[Block], directory: Path) -> None:
    """Write the files of a chain, and run the tests among them."""
    for block in chain:
        name = FILE_NAME.match(block.source)
        assert name, (
            f"line {block.line}: the block that it continues is a file, so this is one, too"
        )
        (directory / name[1]).write_text(block.source, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    # Plugins of ours that take long to import and that no page needs.
    command += ["-p", "no:hypothesispytest", "-p", "no:xdist", "-p", "no:xdist.looponfail"]
    scope = ["-o", "asyncio_default_fixture_loop_scope=function"]
    result = subprocess.run(
        [*command, *scope, "."],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=EXAMPLE_TIMEOUT,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def run_chain(chain: list[Block], path: str, replaced: Mapping[str, str]) -> dict[str, Any]:
    """Run blocks one after the other in one namespace and one event loop; give the names."""
    names: dict[str, Any] = {"__name__": "__main__"}
    with asyncio.Runner() as runner:
        for block in chain:
            code = compile_block(block, path, replaced)
            if code.co_flags & inspect.CO_COROUTINE:
                runner.run(FunctionType(code, names)())
            else:
                exec(code, names)
    return names


def compile_block(block: Block, path: str, replaced: Mapping[str, str]) -> CodeType:
    # Empty lines before the code make tracebacks show the lines of the page.
    source = "\n" * (block.line - 1) + block.source
    for written, real in replaced.items():
        source = source.replace(written, real)
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code: CodeType = compile(source, path, "exec", flags=flags, dont_inherit=True)
    return code


# The servers behind ADDRESS and SECURE_ADDRESS.


class Echo(EchoHandler):
    """Picks the first subprotocol offered."""

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return subprotocols[0] if subprotocols else None


class Ticks(Echo):
    """Sends three messages and closes."""

    async def open(self) -> None:
        for tick in ("1", "2", "3"):
            await self.write_message(tick)
        self.close()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    routes = [("/ticks", Ticks), ("/.*", Echo)]
    with WebSocketTestServer(routes, compression_options={}) as running:
        yield running.url.removesuffix("/")


@dataclass(frozen=True)
class Secured:
    """The server that requires client certificates, and what its clients need."""

    authority: CertificateAuthority
    client: IssuedCertificate
    replaced: Mapping[str, str]

    def write_files(self, directory: Path) -> None:
        """Put the files into the folder in which blocks run."""
        for names in (
            ("tls.crt", "tls.key", "ca.crt"),
            ("svid.pem", "svid_key.pem", "bundle.pem"),
        ):
            contents = (
                self.client.chain_pem,
                self.client.private_key_pem(),
                self.authority.certificate_pem,
            )
            for name, content in zip(names, contents, strict=True):
                (directory / name).write_bytes(content)
        self.client.write_pkcs12(directory / "client.p12", "a secret")
        (directory / "ca.crl").write_bytes(self.authority.crl_pem())


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    authority = CertificateAuthority("Documents")
    name = "spiffe://example.org/billing"
    mine = authority.issue(names=["localhost"], spiffe_id=name, extended_key_usage=["server"])
    client = authority.client_certificate("reader", spiffe_id="spiffe://example.org/reader")
    context = mine.server_context(client_ca=authority)
    with ThreadedTLSServer(context) as running:
        replaced = {SECURE_ADDRESS: f"wss://localhost:{running.port}", PIN: mine.spki_sha256}
        yield Secured(authority, client, replaced)


# The pages and the examples.


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def chains_of_pages() -> Iterator[Any]:
    """Make one case per chain; a page that cannot be read is a case that says why."""
    for page in pages():
        path = page.relative_to(ROOT).as_posix()
        try:
            found = chains(page.read_text(encoding="utf-8"))
        except (OSError, PageError) as error:
            yield pytest.param([], path, error, id=path)
            continue
        for chain in found:
            yield pytest.param(chain, path, None, id=f"{path}:{chain[0].line}")


def examples() -> list[Path]:
    return sorted((ROOT / "examples").glob("**/*.py"))


@pytest.mark.parametrize(("chain", "path", "error"), list(chains_of_pages()))
def test_page(
    chain: list[Block],
    path: str,
    error: Exception | None,
    server: str,
    secured: Secured,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    if error:
        pytest.fail(f"{path}: {error}")
    if FILE_NAME.match(chain[0].source):
        return run_files(chain, tmp_path)
    secured.write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    run_chain(chain, str(ROOT / path), {ADDRESS: server, **secured.replaced})
    complaints = [r for r in caplog.records if r.name == "asyncio" and r.levelno >= logging.ERROR]
    assert not complaints, "\n".join(record.getMessage() for record in complaints)


def test_readme_shows_code() -> None:
    assert chains((ROOT / "README.md").read_text(encoding="utf-8"))


def test_there_are_examples() -> None:
    assert examples()


@pytest.fixture(scope="module")
def python() -> Iterator[Programs]:
    with programs("-X", "dev") as running:
        yield running


@pytest.mark.parametrize(
    "example", [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in examples()]
)
def test_example(example: Path, python: Programs, tmp_path: Path) -> None:
    # Whatever proxy this machine is told to use, the example's own server is not behind it.
    direct = {"no_proxy": "127.0.0.1,localhost", "NO_PROXY": "127.0.0.1,localhost"}
    result = python.run(
        example.read_text(encoding="utf-8"),
        name=str(example),
        folder=tmp_path,
        timeout=EXAMPLE_TIMEOUT,
        **direct,
    )
    shown = f"{result.stdout}\n{result.stderr}"
    assert result.returncode == 0, f"exit code {result.returncode}\n{shown}"
    assert not LEFT_BEHIND.search(result.stderr), shown


# The reader, the runner and the server, checked.

PAGE = """
Text, and `code`.

```python
x = 1
```

```sh
make demo
```

<!-- continues -->

```python
x += 1
```

- A list:

  ```python
  if True:
      y = 5
  ```
"""


def test_blocks_are_found_in_their_place() -> None:
    first, second = chains(PAGE)
    assert [(block.line, block.source) for block in first] == [(5, "x = 1\n"), (15, "x += 1\n")]
    assert [(block.line, block.source) for block in second] == [(21, "if True:\n    y = 5\n")]


def test_blocks_in_a_block_are_text() -> None:
    assert chains("````md\n```python\nx\n```\n````\n") == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("```python no-run\nx\n```", "line 1: write", id="no-run"),
        pytest.param("```py\nx\n```", "'py'", id="py"),
        pytest.param("```Python\nx\n```", "'Python'", id="capital"),
        pytest.param("```pycon\n>>> x\n```", "'pycon'", id="session"),
        pytest.param("~~~python3\nx\n~~~", "'python3'", id="tildes"),
        pytest.param("\n```python\nx\n", "line 2: this block is never closed", id="open"),
        pytest.param(f"{CONTINUES}\n```python\nx\n```", "no block before", id="continues none"),
        pytest.param(f"{CONTINUES}\n```sh\nx\n```", "only a block of python", id="continues sh"),
    ],
)
def test_bad_pages_are_refused(text: str, says: str) -> None:
    with pytest.raises(PageError, match=re.escape(says)):
        chains(text)


def test_a_chain_shares_names_and_loop() -> None:
    page = (
        "```python\nimport asyncio\nloop = asyncio.get_running_loop()\nawait asyncio.sleep(0)\n"
        "```\n"
        f"{CONTINUES}\n```python\nplain = 1\n```\n"
        f"{CONTINUES}\n```python\nassert await asyncio.sleep(0, plain) == 1\n"
        "same = asyncio.get_running_loop() is loop\n```\n"
    )
    (chain,) = chains(page)
    assert run_chain(chain, "page.md", {})["same"] is True


def test_a_block_may_run_a_loop_of_its_own() -> None:
    (chain,) = chains(
        "```python\nimport asyncio\nasync def main():\n    return 3\nx = asyncio.run(main())\n```"
    )
    assert run_chain(chain, "page.md", {})["x"] == 3


def test_an_error_shows_the_line_of_the_page() -> None:
    (chain,) = chains("One.\n\n```python\nx = 1\nraise KeyError(x)\n```")
    with pytest.raises(KeyError) as caught:
        run_chain(chain, "page.md", {})
    last = caught.traceback[-1]
    assert (Path(str(last.path)).name, last.lineno + 1) == ("page.md", 5)


@pytest.mark.parametrize(
    ("path", "expected"), [("/chat?room=1", ["a", "b"]), ("/ticks", ["1", "2", "3"])]
)
def test_the_server_behind_the_address(server: str, path: str, expected: list[str]) -> None:
    page = f"""
```python
import aiohttp

received = []
async with aiohttp.ClientSession() as session:
    async with session.ws_connect("{ADDRESS}{path}", protocols=["v2", "v1"]) as ws:
        assert ws.protocol == "v2"
        for text in [] if "{path}" == "/ticks" else ["a", "b"]:
            await ws.send_str(text)
        while len(received) < {len(expected)}:
            received.append(await ws.receive_str())
```
"""
    (chain,) = chains(page)
    assert run_chain(chain, "page.md", {ADDRESS: server})["received"] == expected


FILES = f"""
```python
# program.py
answer = 42
```
{CONTINUES}
```python
# test_program.py
from program import answer

def test_it():
    assert answer == {{}}
```
"""


def test_files_of_a_chain_are_tested_together(tmp_path: Path) -> None:
    (chain,) = chains(FILES.format(42))
    run_files(chain, tmp_path)


def test_a_test_on_a_page_can_fail(tmp_path: Path) -> None:
    (chain,) = chains(FILES.format(43))
    with pytest.raises(AssertionError, match="1 failed"):
        run_files(chain, tmp_path)
