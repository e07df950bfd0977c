"""The driver of the conformance suite: what it chooses, compares and reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance.cases import choose, plan, share
from conformance.configurations import CONFIGURATIONS, FOLDER, Configuration, select
from conformance.results import (
    Result,
    case_key,
    combine,
    differences,
    dump,
    load,
    read_report,
    read_reports,
    table,
)
from conformance.run import loopback, main, spread
from conformance.verdict import conclude, headings, ideal, read_expected, update

EXPECTED = CONFIGURATIONS[0].expected

OK = Result("OK", "OK")
WORSE = Result("FAILED", "WRONG CODE", 1.5, ("Why.", "report.html"))


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda each: each.name)
def test_the_expected_results_are_all_one_can_reach(configuration: Configuration) -> None:
    expected = load(configuration.expected)
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


def test_reading_a_report_about_several(tmp_path: Path) -> None:
    good = {"behavior": "OK", "behaviorClose": "OK", "duration": 2, "reportfile": "none.json"}
    index = {"a": {"1.1": good}, "b": {}}
    (tmp_path / "index.json").write_text(json.dumps(index), encoding="utf-8")
    assert read_reports(tmp_path) == {"a": {"1.1": OK}, "b": {}}
    with pytest.raises(ValueError, match="about 2 servers"):
        read_report(tmp_path)


def test_the_worst_of_all_repetitions() -> None:
    unclean = Result("OK", "UNCLEAN", 2.0, ("Dropped.",))
    inform = Result("INFORMATIONAL", "INFORMATIONAL", 0.5)
    first = {"1.1": OK, "1.2": Result("NON-STRICT", "OK"), "1.3": inform, "1.4": OK}
    second = {"1.1": unclean, "1.2": WORSE, "1.3": inform}
    found = combine([first, second, second])
    assert found == {"1.1": unclean, "1.2": WORSE, "1.3": inform}
    assert found["1.1"].details == ("It came out so 2 times of 3.", "Dropped.")
    assert (found["1.1"].seconds, found["1.3"].seconds) == (4.0, 1.5)
    assert found["1.3"].details == ()
    assert combine([{}]) == {}


def test_selecting_configurations() -> None:
    names = {each.name for each in select(None, None, None)}
    assert names == {
        "client-asyncio-read",
        "client-asyncio-read-pure",
        "client-uvloop-read",
        "server-asyncio-handler",
    }
    assert [each.name for each in select("server", "uvloop", None)] == ["server-uvloop-handler"]
    callbacks = ["client-asyncio-callback", "client-uvloop-callback"]
    assert [each.name for each in select(None, None, "callback")] == callbacks
    assert select("server", None, "callback") == []
    folders = {each.folder for each in CONFIGURATIONS}
    assert len(folders) == len(CONFIGURATIONS)
    assert all(each.parent == FOLDER for each in folders)


def test_concluding(capsys: pytest.CaptureFixture[str]) -> None:
    assert conclude({"1.1": OK}, {"1.1": OK}, [])
    assert not conclude({"1.1": OK}, {"1.1": OK}, ["The server crashed."])
    assert not conclude({"1.1": OK}, {"1.1": WORSE}, [])
    assert not conclude({"1.1": WORSE}, {"1.1": OK}, [])
    assert not conclude({"1.1": OK}, {"1.1": None}, [])
    assert "The server crashed." in capsys.readouterr().out


def test_the_ideal() -> None:
    inform = Result("INFORMATIONAL", "INFORMATIONAL")
    assert ideal({"1.1": WORSE, "7.1.6": inform}) == {"1.1": OK, "7.1.6": inform}


def test_updating(tmp_path: Path) -> None:
    path = tmp_path / "expected.txt"
    update(path, {"1.1": OK, "1.9": OK}, ["1.1", "1.2", "1.9"], headings("client"))
    update(path, {"1.2": WORSE}, ["1.1", "1.2", "1.3"], headings("client"))
    expected, complaints = read_expected(path, ["1.1", "1.2", "1.3"])
    assert expected == {"1.1": OK, "1.2": WORSE}
    assert complaints == ["expected.txt lacks 1 of the cases: 1.3"]
    _, complaints = read_expected(path, ["1.1"])
    assert complaints == ["the suite does not know 1 of the cases: 1.2"]
    found, (complaint,) = read_expected(tmp_path / "none.txt", [])
    assert found == {}
    assert "cannot be read" in complaint


def test_choosing() -> None:
    every = sorted(load(EXPECTED), key=case_key)
    default = choose(reversed(every), [])
    assert [case for case in every if not case.startswith(("12.", "13."))] == default[:301]
    assert {case.split(".")[1] for case in default if case.startswith("13.")} == set("1234567")
    assert choose(every, ["1.1.2", "12.[12].18"]) == ["1.1.2", "12.1.18", "12.2.18"]
    assert choose(every, ["*"]) == every
    with pytest.raises(ValueError, match="no case matches '14"):
        choose(every, ["1.*", "14.*"])


def test_sharing() -> None:
    every = sorted(load(EXPECTED), key=case_key)
    default = choose(every, [])
    shares = [share(reversed(every), number, 3) for number in range(3)]
    assert all(set(default) <= set(each) for each in shares)
    dealt = [case for each in shares for case in each if case not in default]
    assert sorted([*default, *dealt], key=case_key) == every
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert share(every, 0, 1) == every


def test_what_is_spread_leaves_nothing_out() -> None:
    every = sorted(load(EXPECTED), key=case_key)
    chosen = select("client", None, None)
    runs = {each.name: spread(every, each, chosen) for each in chosen}
    assert sorted(set().union(*runs.values()), key=case_key) == every
    pure = runs["client-asyncio-read-pure"]
    assert pure == [case for case in every if not case.startswith(("12.", "13."))]


@pytest.mark.parametrize("one_in", [2, 4])
def test_a_share_of_the_long_cases_has_each_size_and_each_way_to_compress(one_in: int) -> None:
    every = sorted(load(EXPECTED), key=case_key)
    chosen = select("client", None, None)
    runs = [spread(every, each, chosen, one_in=one_in) for each in chosen]
    default = choose(every, [])
    long = [case for case in every if case not in default]
    dealt = [case for run in runs for case in run if case not in default]
    assert len(dealt) == len(set(dealt)) == pytest.approx(len(long) / one_in, abs=1)
    assert all(set(default) <= set(run) for run in runs[:-1])
    for part in (0, 2):
        found = {case.rpartition(".")[part] for case in dealt}
        assert found == {case.rpartition(".")[part] for case in long}


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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--side", "client", "--url", "ws://127.0.0.1:80/"], "names a server"),
        (["--side", "server", "--style", "callback"], "there are client-asyncio-read, "),
        (["--all", "--spread"], "not allowed with"),
        (["--repeat", "0"], "invalid positive value"),
    ],
)
def test_a_command_line_that_makes_no_sense(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert says in capsys.readouterr().err
