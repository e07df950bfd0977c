"""Every seed, found or made, is fed to its target once; a crash of the past is among them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fuzzing.registry import HERE, TARGETS, Target
from fuzzing.replay import function_of, main, replay, seeds_of

_LARGEST = 200_000
_MOST = 300

every_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


@every_target
def test_seeds_keep_every_promise(target: Target) -> None:
    assert replay(function_of(target), seeds_of(target)) >= 8


@every_target
def test_inputs_of_any_size_keep_every_promise(target: Target) -> None:
    chosen = random.Random(target.name)
    inputs = [(f"{size} bytes", chosen.randbytes(size)) for size in range(40)]
    assert replay(function_of(target), inputs) == 40


def test_seeds_are_few_and_small_and_hold_no_private_key() -> None:
    files = [path for path in (HERE / "seeds").rglob("*") if path.is_file()]
    assert len(files) <= _MOST and sum(path.stat().st_size for path in files) <= _LARGEST
    assert not [path.name for path in files if b"PRIVATE KEY" in path.read_bytes()]
    assert {path.parent.name for path in files} <= {target.name for target in TARGETS}


def test_replay_names_the_input_that_broke_a_promise() -> None:
    def fuzz(data: bytes) -> None:
        assert data != b"bad", "broken"

    with pytest.raises(AssertionError, match="broken") as caught:
        replay(fuzz, [("a", b"good"), ("b", b"bad")])
    assert caught.value.__notes__ == ["input: b (3 bytes)"]


def test_replay_takes_files_and_folders_or_the_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one").write_bytes(b"")
    assert main(["urls", str(tmp_path), str(tmp_path / "one")]) == 0
    assert "urls: 2 inputs" in capsys.readouterr().out
    assert main(["codec"]) == 0
    assert int(capsys.readouterr().out.split()[1]) > 20
    with pytest.raises(SystemExit):
        main(["other"])
