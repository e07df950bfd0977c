"""The driver of the conformance suite: what it chooses, compares and reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance.cases import choose, plan
from conformance.results import Result, case_key, differences, dump, load, read_report, table
from conformance.run import EXPECTED, loopback

OK = Result("OK", "OK")
WORSE = Result("FAILED", "WRONG CODE", 1.5, ("Why.", "report.html"))


def test_the_expected_results_are_all_a_server_can_reach() -> None:
    expected = load(EXPECTED)
    assert len(expected) == 517
    informative = {case for case, result in expected.items() if result != OK}
    assert informative == {"7.1.6", "7.13.1", "7.13.2"}


def test_what_is_dumped_is_loaded_again(tmp_path: Path) -> None:
    path = tmp_path / "results.txt"
    results = {"9.10": WORSE, "9.9": OK, "12.1.1": Result("UNIMPLEMENTED", "FAILED BY CLIENT")}
    path.write_text(dump(results, "One\nTwo"), encoding="utf-8")
    assert path.read_text(encoding="utf-8").splitlines() == [
        "# One",
        "# Two",
        "9.9 OK OK",
        "9.10 FAILED WRONG CODE",
        "12.1.1 UNIMPLEMENTED FAILED BY CLIENT",
    ]
    assert load(path) == results


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1.1 OK", "not a result"),
        ("1.1 FINE OK", "not a result"),
        ("1.1 OK OK\n1.1 OK OK", "twice"),
        ("1.10 OK OK\n1.9 OK OK", "not in order"),
    ],
)
def test_a_faulty_file_is_refused(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "results.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=says):
        load(path)


def test_no_difference() -> None:
    assert differences({"1.1": OK, "1.2": WORSE}, {"1.1": Result("OK", "OK", 3.0)}) == []


def test_differences_for_worse_and_for_better() -> None:
    found = differences({"1.1": OK, "1.2": WORSE}, {"1.2": OK, "1.1": WORSE})
    assert found == [
        "1.1: FAILED WRONG CODE; expected: OK OK",
        "    Why.",
        "    report.html",
        "1.2: OK OK; expected: FAILED WRONG CODE",
    ]


def test_cases_without_result_and_without_expectation() -> None:
    ran = {f"1.{number}": None for number in range(30, 0, -1)}
    missing, unknown = differences(dict.fromkeys(ran, OK), ran), differences({}, {"2.1": OK})
    assert len(missing) == len(unknown) == 1
    assert missing[0].startswith("there is no result of 30 of the cases: 1.1, 1.2, 1.3")
    assert missing[0].endswith("1.20, ...")
    assert unknown[0] == "nothing is expected of 1 of the cases: 2.1"


def test_the_table_counts_each_case_once() -> None:
    results = {"1.1": OK, "1.2": Result("OK", "UNCLEAN", 0.5), "12.1.1": WORSE, "12.2.1": None}
    rows = [line.split() for line in table(results).splitlines()]
    assert rows[1:] == [
        "1 2 1 - 1 - - - 0.5".split(),
        "12.1 1 - - 1 - - - 1.5".split(),
        "12.2 1 - - - - - 1 0.0".split(),
        "all 4 1 - 2 - - 1 2.0".split(),
    ]


def test_reading_a_report(tmp_path: Path) -> None:
    good = {"behavior": "OK", "behaviorClose": "OK", "duration": 2, "reportfile": "none.json"}
    bad = {**good, "behavior": "NON-STRICT", "duration": 1500, "reportfile": "bad.json"}
    index = {"server": {"1.1": good, "1.2": bad}}
    (tmp_path / "index.json").write_text(json.dumps(index), encoding="utf-8")
    report = {"result": "Late.", "resultClose": "Closed."}
    (tmp_path / "bad.json").write_text(json.dumps(report), encoding="utf-8")
    found = read_report(tmp_path)
    assert found == {"1.1": OK, "1.2": Result("NON-STRICT", "OK")}
    assert found["1.2"].seconds == 1.5
    assert found["1.2"].details == ("Late.", "Closed.", str(tmp_path / "bad.html"))


def test_choosing() -> None:
    every = sorted(load(EXPECTED), key=case_key)
    default = choose(reversed(every), [])
    assert [case for case in every if not case.startswith(("12.", "13."))] == default[:301]
    assert {case.split(".")[1] for case in default if case.startswith("13.")} == set("1234567")
    assert choose(every, ["1.1.2", "12.[12].18"]) == ["1.1.2", "12.1.18", "12.2.18"]
    assert choose(every, ["*"]) == every
    with pytest.raises(ValueError, match="no case matches '14"):
        choose(every, ["1.*", "14.*"])


def test_the_plan_has_every_case_once() -> None:
    every = sorted(load(EXPECTED), key=case_key)
    quick, heavy = plan(every)
    planned = [case for batch in quick + heavy for case in batch.cases]
    assert sorted(planned, key=case_key) == every
    parts = [(12, part) for part in range(1, 6)] + [(13, part) for part in range(1, 8)]
    assert [batch.name for batch in heavy] == ["9"] + [f"{one}.{two}" for one, two in parts]
    assert not any(case.startswith(("9.", "12.", "13.")) for each in quick for case in each.cases)
    assert [batch.name for (batch,) in plan(["9.1.1"])] == ["9"]


@pytest.mark.parametrize("url", ["ws://192.0.2.1:80", "http://127.0.0.1", "127.0.0.1:80"])
def test_only_servers_of_this_machine(url: str) -> None:
    assert loopback("ws://127.0.0.1:80/x")
    with pytest.raises(Exception, match="loopback"):
        loopback(url)
