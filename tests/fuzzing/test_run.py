"""The runner: what it starts, what it reads from a log, and what it does without atheris."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from fuzzing import registry, run
from fuzzing.registry import TARGETS, named_target
from fuzzing.results import Outcome, excerpt, read_log, table

LOG = """INFO: Loaded 1 modules
#2	INITED cov: 84 ft: 85 corp: 1/1b exec/s: 0 rss: 74Mb
#131072	pulse  cov: 93 ft: 384 corp: 60/2272b lim: 2708 exec/s: 52428 rss: 75Mb
Done 264081 runs in 6 second(s)
stat::number_of_executed_units: 264081
stat::average_exec_per_sec:     44013
stat::new_units_added:          41
stat::slowest_unit_time_sec:    0
stat::peak_rss_mb:              75
"""
CRASHED = """#2	INITED cov: 84 ft: 85 corp: 1/1b exec/s: 0 rss: 74Mb

 === Uncaught Python exception: ===
AssertionError: broken
Traceback (most recent call last):
  File "x.py", line 1, in fuzz
stat::number_of_executed_units: 12
"""

# Does what libFuzzer does, and breaks a promise if told to.
WORKER = """
import sys
prefix = next(each for each in sys.argv if each.startswith("-artifact_prefix=")).split("=")[1]
if {crashes}:
    open(prefix + "crash-1", "wb").write(b"bad")
    open(prefix + "slow-unit-1", "wb").write(b"slow")
    sys.stderr.write({crashed!r})
else:
    sys.stderr.write({log!r})
sys.exit({code})
"""


def test_a_log_is_read() -> None:
    outcome = read_log("codec", LOG, [Path("slow-unit-1")])
    assert outcome == Outcome(
        "codec",
        runs=264081,
        runs_per_second=44013,
        edges=93,
        features=384,
        corpus=60,
        new=41,
        peak_mb=75,
        crashes=[],
    )
    assert outcome.good


def test_a_log_of_nothing_is_read() -> None:
    assert read_log("codec", "").runs == 0


def test_what_ended_a_run_is_a_fault() -> None:
    assert not read_log("codec", CRASHED, [Path("timeout-1")]).good
    assert not Outcome("codec", problem="did not end").good


def test_the_table_has_a_line_for_each() -> None:
    lines = table(
        [read_log("codec", LOG), read_log("messages", CRASHED, [Path("crash-1")])]
    ).splitlines()
    assert lines[1].split()[:3] == ["codec", "264,081", "44,013"]
    assert lines[1].endswith("ok") and lines[2].endswith("CRASH")
    assert len({line.index("75" if "ok" in line else "0") > 0 for line in lines[1:]}) == 1


def test_the_excerpt_begins_where_python_failed() -> None:
    assert excerpt(CRASHED).splitlines()[1] == "AssertionError: broken"
    assert excerpt("#4\tNEW    cov: 1\nonly this") == "only this"


def test_a_target_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"codec.*tls_messages"):
        named_target("other")
    with pytest.raises(SystemExit):
        run.main(["other"])


def test_every_target_is_there_with_its_parts() -> None:
    for target in TARGETS:
        assert importlib.util.find_spec(target.module) is not None
        assert target.mutator == "" or importlib.util.find_spec(target.mutator) is not None
        assert target.dictionary.exists()
        for module in target.covers:
            assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_without_atheris(
    ci: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run.main([]) == code
    assert "atheris is not installed" in capsys.readouterr().out


def pretend(
    monkeypatch: pytest.MonkeyPatch, place: Path, *, crashes: bool, code: int = 0
) -> list[list[str]]:
    """Let a pretender run in the place of atheris; return the commands that it replaces."""
    monkeypatch.setattr(registry, "FOLDER", place)
    monkeypatch.setattr(run, "_look_for_atheris", lambda: None)
    script = WORKER.format(crashes=crashes, crashed=CRASHED, log=LOG, code=code)
    original, commands = run.command_for, []

    def command(*arguments: Any) -> list[str]:
        commands.append(original(*arguments))
        return [sys.executable, "-c", script, *commands[-1]]

    monkeypatch.setattr(run, "command_for", command)
    return commands


def test_a_run_without_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = pretend(monkeypatch, tmp_path, crashes=False)
    assert run.main(["--seconds", "7", "codec", "identity"]) == 0
    assert "No promise was broken" in capsys.readouterr().out
    first, second = sorted(commands, key=lambda command: command[3])
    assert {"-max_total_time=7", "-max_len=2048", "-rss_limit_mb=2048"} <= set(first)
    assert first[-2:] == [str(tmp_path / "codec" / "made"), str(named_target("codec").seeds)]
    assert list((tmp_path / "identity" / "made").iterdir())
    assert second[3] == "identity"


def test_a_crash_is_told_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, tmp_path, crashes=True, code=77)
    assert run.main(["codec"]) == 1
    shown = capsys.readouterr().out
    crash = tmp_path / "codec" / "crashes" / "crash-1"
    assert "AssertionError: broken" in shown
    assert f"python -m fuzzing.replay codec {crash}" in shown
    assert "slow-unit" not in shown
    # An old one does not count again.
    crash.write_bytes(b"bad")
    pretend(monkeypatch, tmp_path, crashes=False)
    assert run.main(["codec"]) == 0


def test_a_run_that_fails_without_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, tmp_path, crashes=False, code=3)
    assert run.main(["codec"]) == 1
    assert "codec ended with 3" in capsys.readouterr().out
