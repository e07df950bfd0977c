"""What is made of figures: ratios, verdicts, tables, pictures and the page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import charts, report, run, speed
from benchmarks.charts import figure
from benchmarks.entrants import ENTRANTS
from benchmarks.job import Job
from benchmarks.messages import JSON_MESSAGES, binary, deflated, json_messages, text
from benchmarks.report import BEGIN, END, DocumentError, leave, page, pictures
from benchmarks.results import Result, Series, judged, read, write
from benchmarks.works import CURVES, MAIN, WORKS, Target, Work
from house.checkout import ROOT

ABOUT = {"date": "2026-11-01", "machine": "a machine"}


def result(work: Work, **costs: float) -> Result:
    """Make a result of three rounds, whose medians are `costs`."""
    series = {
        name.replace("_", "-"): Series([cost, cost * 3, cost / 2], [cost * 2] * 3)
        for name, cost in costs.items()
    }
    return Result(work.name, series)


def everything() -> list[Result]:
    """Make a result of each work: the first one is the cheapest, and so on."""
    return [
        Result(
            work.name,
            {name: Series([1.5 + index], [2.0]) for index, name in enumerate(work.entrants)},
        )
        for work in (*MAIN, *CURVES)
    ]


def test_each_entrant_of_each_work_exists() -> None:
    for work in WORKS.values():
        named = {*work.entrants}
        assert named <= ENTRANTS.keys()
        assert len(named) == len(work.entrants)
        for target in work.targets:
            assert {*target.ours, *target.theirs} <= named, work.name


def test_a_target_compares_the_best_of_each_side() -> None:
    work = Work(
        "w", "W", "echo", (), (Target(0.5, ("wsclient", "wsclient-fast"), ("picows", "aiohttp")),)
    )
    (verdict,) = judged(work, result(work, wsclient=3, wsclient_fast=2, picows=5, aiohttp=4))
    assert (verdict.ours, verdict.theirs, verdict.value) == ("wsclient-fast", "aiohttp", 0.5)
    assert verdict.met
    (verdict,) = judged(work, result(work, wsclient=3, aiohttp=4))
    assert not verdict.met


def test_a_target_may_be_a_bound_of_its_own() -> None:
    work = Work("w", "W", "idle", (), (Target(11, ("wsclient",)),))
    assert judged(work, result(work, wsclient=11))[0].met
    assert not judged(work, result(work, wsclient=11.1))[0].met


def test_nothing_is_said_of_who_was_not_there() -> None:
    work = WORKS["echo-256"]
    assert judged(work, result(work, wsclient=3, tornado=4)) == []
    assert judged(work, result(work, picows=3)) == []


def test_the_terminal_shows_ratios_and_verdicts() -> None:
    lines = report.shown(
        WORKS["flood-32"], result(WORKS["flood-32"], wsclient=0.2, picows=0.25)
    ).splitlines()
    assert [line.split() for line in lines[2:4]] == [
        ["wsclient", "0.200", "0.100", "0.600", "0.400", "1.00"],
        ["picows", "0.250", "0.125", "0.750", "0.500", "0.80"],
    ]
    assert lines[4].strip() == "NOT MET: wsclient / picows: 0.800 (target 0.7)"


def test_figures_have_three_digits() -> None:
    assert [figure(x) for x in (0.1234, 1.234, 12.34, 1234.5)] == [
        "0.123",
        "1.23",
        "12.3",
        "1,234",
    ]


def test_the_page_says_where_others_are_ahead() -> None:
    results = [
        result(WORKS["echo-256"], wsclient=9, picows=6, raw_socket=1),
        result(WORKS["send-128"], wsclient=1, picows=2, raw_socket=0.1),
    ]
    text = page(results, ABOUT, [])
    (ahead,) = re.findall(r"### Where another client is ahead\n\n(.*?)\n\n", text, re.DOTALL)
    assert ahead == "- Echo of 256 B: picows 6.00, wsclient 9.00 µs per message"
    assert "| picows | **6.00** | 2.00 |" in text
    assert "| wsclient | 9.00 | **1.00** |" in text
    assert "| Send 128 B | 0.200 | 0.100 | 2.00 | wsclient |" in text


def test_pictures_are_xml_with_a_bar_or_curve_for_each_client() -> None:
    drawn = {name: ET.fromstring(each) for name, each in pictures(everything()).items()}
    assert drawn.keys() == {
        "performance.svg",
        "performance-sizes.svg",
        "performance-connections.svg",
    }
    sizes = drawn["performance-sizes.svg"].findall("{*}polyline")
    assert len(sizes) == len(WORKS["size-16"].entrants)
    assert all(len(each.attrib["points"].split()) == 11 for each in sizes)
    words = [each.text for each in drawn["performance.svg"].findall("{*}text")]
    assert {"wsclient-fast", "picows", "Echo of 256 B, µs per message"} <= set(words)
    assert "raw-socket" not in words


def test_scales_have_round_marks() -> None:
    for points, marks in (
        ([(1.0, 30.0), (10.0, 450.0)], {"50", "100", "200"}),
        ([(1.0, 30.0), (10.0, 45_000.0)], {"100", "1,000", "10,000"}),
    ):
        drawn = ET.fromstring(charts.curves(charts.Curves("T", "x", "y", {"name": points})))
        words = {each.text for each in drawn.findall("{*}text")}
        assert words == {"T", "x", "y", "name", "1", "10"} | marks


def test_only_the_generated_part_of_the_page_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "performance.md"
    file.write_text(f"# Before\n\n{BEGIN}\nold\n{END}\n\nAfter\n", encoding="utf-8")
    leave(everything(), ABOUT, tmp_path)
    text = file.read_text(encoding="utf-8")
    assert text.startswith(f"# Before\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nAfter\n")
    assert "old" not in text
    for name in re.findall(r"\]\((.*?\.svg)\)", text):
        assert (tmp_path / name).is_file()


def test_a_page_without_a_place_for_figures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "performance.md").write_text("# A page\n", encoding="utf-8")
    with pytest.raises(DocumentError):
        leave(everything(), ABOUT, tmp_path)


def test_our_page_has_that_place() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert text.index(BEGIN) < text.index(END)


def test_results_survive_the_way_through_json(tmp_path: Path) -> None:
    write(everything(), ABOUT, tmp_path / "folder" / "x.json")
    assert read(tmp_path / "folder" / "x.json") == (everything(), ABOUT)


def test_rounds_are_added_to_those_of_an_earlier_run() -> None:
    earlier = Result("flood-128", {"wsclient": Series([1.0, 2.0], [3.0, 4.0])})
    earlier.add(Result("flood-128", {"wsclient": Series([9.0], [9.0]), "picows": Series([5.0])}))
    assert earlier.series["wsclient"] == Series([1.0, 2.0, 9.0], [3.0, 4.0, 9.0])
    assert earlier.series["wsclient"].cost == 2.0
    assert earlier.series["picows"].costs == [5.0]


def test_jobs_survive_the_way_to_their_process() -> None:
    job = Job("echo", size=3, level=6, text=True, origin="ws://x")
    assert Job.from_json(job.to_json()) == job
    assert job.url == "ws://x/echo?size=3&text=1&level=6"


def test_the_command_line_measures_what_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Figures are of no interest here, so that the CPU's full speed may be missed.
    monkeypatch.setattr(speed, "_LOOKED_FOR", 0.1)
    file = tmp_path / "x.json"
    arguments = ["--works", "flood-3*", "--peers", "wsclient,raw-*", "--rounds", "1", "--quick"]
    assert run.main([*arguments, "--json", str(file)]) == 0
    ((only,), about) = read(file)
    assert only.work == "flood-32"
    assert {name: len(series.costs) for name, series in only.series.items()} == {"wsclient": 1}
    assert about["python"]
    assert "wsclient" in capsys.readouterr().out
    assert run.main([*arguments, "--add", str(file), "--json", str(file)]) == 0
    ((only,), _) = read(file)
    assert len(only.series["wsclient"].costs) == 2
    write([only], about | {"python": "another"}, file)
    with pytest.raises(SystemExit, match="python was another"):
        run.main([*arguments, "--add", str(file)])


def test_a_name_that_matches_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(["--works", "flood-32,flod"])
    assert "there is no flod" in capsys.readouterr().err


@pytest.mark.parametrize("size", [0, 1, 68, 69, 4096])
def test_messages_have_their_size(size: int) -> None:
    assert len(binary(size)) == len(text(size)) == size
    assert len(text(size).encode()) == size


def test_messages_to_be_compressed_are_different_and_not_too_easy() -> None:
    messages = json_messages(4096)
    assert {len(each.encode()) for each in messages} == {4096}
    assert len({*messages}) == JSON_MESSAGES
    assert 0.2 < len(deflated(messages[0].encode(), 6)) / 4096 < 0.6
