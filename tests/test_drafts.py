"""A night's drafts: what goes in, under what name, in which forms, and what a person is told of it."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ssosd.afterwards.rewrite import rewrite_night
from ssosd.afterwards.seedcsv import draft_of_csv
from ssosd.afterwards.sent import record_sent
from ssosd.analysis.painter.night import PaintedNight
from ssosd.cli import main
from ssosd.errors import BadInput
from ssosd.identify.triage import NEO_LIMIT, neo_scores, with_neo_scores
from ssosd.model import PLACED_FLAG
from ssosd.reports.lint.draft import lint_text, sightings_of
from ssosd.reports.names import already_sent, temporary_names
from ssosd.reports.selection import select_for_drafts, split_neos
from ssosd.reports.tables import read_candidates_csv, write_candidates_csv
from ssosd.site import site_from_code
from ssosd.store import STORE_NAME, Store
from tests.night_store import place_in
from tests.replaying import ONE_FIELD, Outcome, run
from tests.sky import shared_sky

LATER = datetime(2100, 1, 1, tzinfo=UTC)  # than any night here
HEADER = {
    "SUBMITTER": "A. Nobody",
    "MEASURERS": "A. Nobody,B. Some",
    "TELESCOPE_DESIGN": "Reflector",
    "TELESCOPE_APERTURE": 1.2,
    "TELESCOPE_FRATIO": 8,
    "AST_CAT": "Gaia3",
}


def rows(candidate, n=4, *, state="unknown", matched=False, flags=0, **columns):
    return [
        {"CANDIDATE": candidate, "MATCHED": matched, "MATCH_STATE": state, "FLAGS_SSOS": flags, **columns}
        for _ in range(n)
    ]


def verdict(word):
    return {"INSPECTED": bool(word), "ASTEROID": word == "asteroid", "UNKNOWN": word == "unknown"}


CASES = pd.DataFrame(
    [
        *rows("known", state="matched", matched=True, **verdict("")),
        *rows("known-artifact", state="matched", matched=True, **verdict("artifact")),
        *rows("new", **verdict("")),
        *rows("new-asteroid", **verdict("asteroid")),
        *rows("new-artifact", **verdict("artifact")),
        *rows("new-unclear", **verdict("unknown")),
        *rows("possible-asteroid", state="possible", **verdict("asteroid")),
        *rows("unchecked-asteroid", state="unchecked", **verdict("asteroid")),
        *rows("placed-asteroid", flags=32, **verdict("asteroid")),
        *rows("single-asteroid", 1, **verdict("asteroid")),
    ]
)
JUDGED = {"unknown": {"new-asteroid", "possible-asteroid"}, "unchecked": {"unchecked-asteroid"}}


@pytest.mark.parametrize(
    ("policy", "groups"),
    [
        ("VERDICTS", {"known": set(), **JUDGED}),
        ("KNOWN", {"known": {"known"}, **JUDGED}),
        (
            "ALL",
            {
                "known": {"known"},
                "unknown": {*JUDGED["unknown"], "new", "new-unclear"},
                "unchecked": JUDGED["unchecked"],
            },
        ),
    ],
)
def test_what_goes_in(policy, groups):
    chosen = select_for_drafts(CASES, policy=policy)
    assert {name: set(table["CANDIDATE"]) for name, table in chosen.items()} == groups


def test_one_position_placed_by_the_track_costs_only_that_position():
    table = pd.DataFrame(
        [*rows("a", 3, **verdict("asteroid")), *rows("a", 1, flags=32 | 1, **verdict("asteroid"))]
    )
    assert len(select_for_drafts(table, policy="KNOWN")["unknown"]) == 3


# ---- names --------------------------------------------------------------------------------------------------


def track(candidate, field, *, mjd=61358.8, ra=50.0, dec=18.0, east=30.0, north=0.0, file="a.fits", number=7):
    return [
        {"CANDIDATE": candidate, "FIELD": field, "IMAGE_FILENAME": f"{k}{file}", "EXTENSION": 0, "NUMBER": number,
         "MID_EXPOSURE_MJD": mjd + k * 0.25 / 24.0, "RA": ra + k * 0.25 * east / 3600.0 / 0.951,
         "DEC": dec + k * 0.25 * north / 3600.0, "PMRA": east, "PMDEC": north}
        for k in range(4)
    ]  # fmt: skip


def names(*tracks, night="2026-11-14"):
    return temporary_names(pd.DataFrame([row for t in tracks for row in t]), night=night)


def test_a_name_depends_on_the_first_detection_alone():
    alone = names(track("F01-0001", "F01"))["F01-0001"]
    other = track("F01-0001", "F01", ra=49.0, number=3)
    among = names(other, track("F01-0002", "F01"))
    assert among["F01-0002"] == alone
    assert among["F01-0001"] != alone
    longer = [*track("F01-0001", "F01"), *track("F01-0001", "F01", mjd=61358.9, ra=50.03)]
    assert names(longer)["F01-0001"] == alone


def test_names_look_like_no_designation_and_are_of_their_night():
    first, second = (
        names(track("F01-0001", "F01"), night=n)["F01-0001"] for n in ("2026-11-14", "2026-11-15")
    )
    assert first != second
    assert len(first) == 7
    assert first[0] == "s"
    assert first.isalnum()


def test_one_object_in_two_fields_has_one_name():
    """It leaves F01 and is in F02 two hours later."""
    later = track("F02-0001", "F02", mjd=61358.8 + 2.0 / 24.0, ra=50.0 + 2.0 * 30.0 / 3600.0 / 0.951)
    stranger = track("F02-0002", "F02", mjd=61358.8 + 2.0 / 24.0, ra=50.02, dec=18.01, number=8)
    found = names(track("F01-0001", "F01"), later, stranger)
    assert found["F01-0001"] == found["F02-0001"] != found["F02-0002"]
    turned = track(
        "F02-0001", "F02", mjd=61358.8 + 2.0 / 24.0, ra=50.0 + 2.0 * 30.0 / 3600.0 / 0.951, east=-30.0
    )
    assert len(set(names(track("F01-0001", "F01"), turned).values())) == 2


@given(numbers=st.lists(st.integers(0, 10**6), min_size=1, max_size=60, unique=True))
def test_no_two_objects_of_a_field_share_a_name(numbers):
    tracks = [track(f"F01-{i:04d}", "F01", ra=40.0 + 0.1 * i, number=n) for i, n in enumerate(numbers)]
    assert len(set(names(*tracks).values())) == len(numbers)


# ---- triage -------------------------------------------------------------------------------------------------


def test_neo_like_and_main_belt_like_fall_on_their_sides():
    """At opposition on the ecliptic: 35 "/h westward is the main belt's, 600 "/h is nobody's but a near object's."""
    belt = track("belt", "F01", mjd=61358.9, ra=53.2, dec=18.9, east=-34.0, north=-8.0)
    near = track("near", "F01", mjd=61358.9, ra=53.2, dec=18.9, east=300.0, north=500.0)
    table = pd.DataFrame([*belt, *near]).assign(MAG_CALIB=19.5, BAND="G", ERR_POSITION=0.1)
    scores = neo_scores(table, site=site_from_code("493"))
    assert scores["near"] > 90.0
    assert scores["belt"] < 35.0
    assert neo_scores(table, site=site_from_code("493")) == scores
    assert (
        neo_scores(table.drop(columns=["MAG_CALIB", "ERR_POSITION"]), site=site_from_code("493"))["near"]
        > 90.0
    )
    assert neo_scores(table.iloc[:1], site=site_from_code("493")) == {}


def test_scores_are_of_what_was_measured_of_unknown_objects_and_part_the_drafts():
    site = site_from_code("493")
    belt = track("belt", "F01", mjd=61358.9, ra=53.2, dec=18.9, east=-34.0, north=-8.0)
    near, known = (
        track(name, "F01", mjd=61358.9, ra=53.2, dec=18.9, east=300.0, north=500.0)
        for name in ("near", "known")
    )
    table = pd.DataFrame([*belt, *near, *known]).assign(MAG_CALIB=19.5, BAND="G", ERR_POSITION=0.1)
    table = table.assign(MATCHED=table["CANDIDATE"] == "known", FLAGS_SSOS=0)
    table["MATCH_STATE"] = np.where(table["MATCHED"], "matched", "unknown")
    scored = with_neo_scores(table, site=site)
    by_name = scored.groupby("CANDIDATE")["NEO_SCORE"].first()
    assert np.isnan(by_name["known"])
    assert by_name[["belt", "near"]].to_dict() == neo_scores(table[~table["MATCHED"]], site=site)

    strayed = table.copy()
    first = strayed.index[strayed["CANDIDATE"] == "belt"][0]
    strayed.loc[first, ["DEC", "FLAGS_SSOS"]] = [18.95, PLACED_FLAG]
    again = with_neo_scores(strayed, site=site).groupby("CANDIDATE")["NEO_SCORE"].first()
    assert again["belt"] == with_neo_scores(table.drop(index=first), site=site)["NEO_SCORE"][first + 1]

    parted = split_neos(select_for_drafts(scored, policy="ALL")["unknown"], limit=NEO_LIMIT)
    assert {name: set(rows["CANDIDATE"]) for name, rows in parted.items()} == {
        "neo": {"near"},
        "unknown": {"belt"},
    }
    one_object = {"near": "sFxe123", "belt": "sFxe123"}  # seen in two fields
    joined = split_neos(select_for_drafts(scored, policy="ALL")["unknown"], limit=NEO_LIMIT, names=one_object)
    assert set(joined["neo"]["CANDIDATE"]) == {"near", "belt"}
    assert with_neo_scores(pd.DataFrame(), site=site).empty


# ---- from exposures to drafts ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def night(tmp_path_factory) -> PaintedNight:
    return shared_sky(tmp_path_factory, **ONE_FIELD)


@pytest.fixture
def replayed(night, tmp_path) -> Outcome:
    return run(tmp_path / "out", night.directory, reference=night.refcat, DRAFT_POLICY="KNOWN", **HEADER)


def folder(outcome: Outcome) -> Path:
    return outcome.target / outcome.night / "drafts"


@pytest.mark.binaries
def test_a_verdict_brings_a_candidate_into_the_drafts(replayed: Outcome):
    drafts = folder(replayed)
    assert not list(drafts.glob("*.psv"))  # nobody has looked, nothing is known
    n = replayed.candidates["CANDIDATE"].nunique()
    readme = (drafts / "README.txt").read_text()
    assert f"unchecked: nothing to send\n  {n} candidates wait for the verdict asteroid" in readme
    assert f"ssosd inspect {replayed.night}" in readme
    first, second = sorted(replayed.candidates["CANDIDATE"].unique())[:2]

    def say(store, name, verdict, version):
        place = place_in(store, replayed.night, name)
        store.give_verdict(replayed.night, name, verdict, person="Ada", version=version, seen=place)

    with Store(replayed.target / STORE_NAME) as store:
        say(store, first, "asteroid", version=0)
        say(store, second, "artifact", version=0)
    assert rewrite_night(replayed.target, night=replayed.night).written
    text = (drafts / "unchecked.txt").read_text()
    n = int((replayed.candidates["CANDIDATE"] == first).sum())
    assert len(sightings_of(text)) == n
    assert len({s.key for s in sightings_of(text)}) == 1
    for form in ("txt", "psv", "xml"):
        problems = lint_text((drafts / f"unchecked.{form}").read_text(), now=LATER)
        assert [p for p in problems if p.severity == "error"] == []
    with Store(replayed.target / STORE_NAME) as store:
        kinds = [row["kind"] for row in store.rows("SELECT kind FROM drafts ORDER BY kind")]
        say(store, first, "artifact", version=1)
    assert kinds == ["unchecked.psv", "unchecked.txt", "unchecked.xml"]
    rewrite_night(replayed.target, night=replayed.night)
    assert not list(drafts.glob("unchecked.*"))
    with Store(replayed.target / STORE_NAME) as store:
        assert store.rows("SELECT kind FROM drafts") == []


@pytest.mark.binaries
def test_the_official_converter_takes_our_psv_and_both_forms_agree(night, tmp_path):
    out = run(tmp_path / "out", night.directory, reference=night.refcat, DRAFT_POLICY="ALL", **HEADER)
    drafts = folder(out)
    converted = tmp_path / "converted.xml"
    program = "from ades.psvtoxml import psvtoxml; import sys; psvtoxml(sys.argv[1], sys.argv[2])"
    done = subprocess.run(
        [sys.executable, "-c", program, drafts / "unchecked.psv", converted], capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    problems = lint_text(converted.read_text(), now=LATER)
    assert [p for p in problems if p.severity == "error"] == []
    by_form = [sightings_of((drafts / f"unchecked.{form}").read_text()) for form in ("psv", "xml")]
    assert [(s.key, s.mjd, s.ra_deg, s.dec_deg) for s in by_form[0]] == [
        (s.key, s.mjd, s.ra_deg, s.dec_deg) for s in by_form[1]
    ]
    eighty = sightings_of((drafts / "unchecked.txt").read_text())
    assert len(eighty) == len(by_form[0])
    readme = (drafts / "README.txt").read_text()
    assert "submit_xml_test" in readme
    assert "not known; ADES demands it" not in readme
    pointings = json.loads((drafts / "pointings.json").read_text())
    assert len(pointings) == 4
    assert all(p["mpcCode"] == "493" and p["duration"] > 0 for p in pointings)


@pytest.mark.binaries
def test_what_looks_like_a_comet_is_named(night, tmp_path):
    out = run(tmp_path / "out", night.directory, reference=night.refcat, DRAFT_POLICY="ALL", **HEADER)
    assert "as comets have" not in (folder(out) / "README.txt").read_text()
    (path,) = (out.target / out.night).glob("*/cats/candidates.csv")
    table = read_candidates_csv(path)
    comet = table["CANDIDATE"].iloc[0]
    write_candidates_csv(path, table.assign(EXTENDED=np.where(table["CANDIDATE"] == comet, 0.87, np.nan)))
    assert rewrite_night(out.target, night=out.night).written
    text = (folder(out) / "README.txt").read_text()
    assert f"as comets have, and no known object (mag):\n  {comet}  0.87\n\n" in text


@pytest.mark.binaries
def test_a_draft_of_which_nothing_can_be_written_says_why(night, tmp_path):
    """The only known objects have names that nobody can pack."""
    out = run(tmp_path / "out", night.directory, reference=night.refcat, DRAFT_POLICY="ALL", **HEADER)
    (path,) = (out.target / out.night).glob("*/cats/candidates.csv")
    table = read_candidates_csv(path)
    write_candidates_csv(
        path, table.assign(MATCHED=True, MATCH_STATE="matched", SKYBOT_NUMBER="", SKYBOT_NAME="Europa")
    )
    assert rewrite_night(out.target, night=out.night).written
    readme = (folder(out) / "README.txt").read_text()
    assert "known: nothing to send\n  candidate F01-0001 is not in the draft: " in readme


@pytest.mark.binaries
def test_what_the_header_lacks_is_said(night, tmp_path):
    out = run(tmp_path / "out", night.directory, reference=night.refcat, DRAFT_POLICY="ALL", AST_CAT="AUTO")
    readme = (folder(out) / "README.txt").read_text()
    for name in ("submitter/name", "measurers/name", "telescope/design", "telescope/aperture"):
        assert f"header: {name} is not known; ADES demands it, set " in readme
    assert len(re.findall("astCat: warning: UNK", readme)) == 2  # once in PSV and XML, not once a line


@pytest.mark.binaries
def test_a_field_of_an_older_version_lacks_a_column_and_not_its_draft(night, tmp_path):
    out = run(tmp_path / "out", night.directory, reference=night.refcat, DRAFT_POLICY="ALL", **HEADER)
    before = (folder(out) / "unchecked.txt").read_bytes()
    for path in (out.target / out.night).glob("*/cats/candidates.csv"):
        write_candidates_csv(
            path, read_candidates_csv(path).drop(columns=["NEO_SCORE", "CHI2_DOF", "EXTENDED"])
        )
    assert rewrite_night(out.target, night=out.night).written
    assert (folder(out) / "unchecked.txt").read_bytes() == before
    table = read_candidates_csv(out.target / out.night / "candidates.csv")
    assert len(table)
    assert table[["NEO_SCORE", "CHI2_DOF", "EXTENDED"]].isna().all(axis=None)


def typed_there(readme, folder):
    """The target and the file that the commands of a README mean when they are typed in this folder."""
    test, then = (re.search(rf"^  {word} +(.*)$", readme, re.MULTILINE)[1] for word in ("test", "then"))
    (source,) = (word.partition("<")[2] for word in shlex.split(test) if word.startswith("source="))
    target = shlex.split(then)[shlex.split(then).index("-t") + 1]
    return (folder / target).resolve(), (folder / source).resolve()


@pytest.mark.binaries
def test_what_was_sent_is_in_the_ledger(night, tmp_path):
    out = run(tmp_path / "out", night.directory, reference=night.refcat, DRAFT_POLICY="ALL", **HEADER)
    n = len(sightings_of((folder(out) / "unchecked.txt").read_text()))
    assert record_sent(out.target, night=out.night, draft="unchecked") == n
    assert record_sent(out.target, night=out.night, draft="unchecked") == 0
    with pytest.raises(BadInput, match="no such draft"):
        record_sent(out.target, night=out.night, draft="neo")
    said = CliRunner().invoke(main, ["mpc", out.night, "-t", str(out.target), "--sent", "unchecked"])
    assert said.output == f"0 positions of {out.night} unchecked recorded as sent\n"
    assert not (folder(out) / "unchecked.txt").exists()  # or it might be sent once more
    printed = CliRunner().invoke(main, ["mpc", out.night, "-t", str(out.target)])
    assert "positions are left out: they were sent before" in printed.output
    back = ["mpc", out.night, "-t", str(out.target), "--not-sent", "unchecked"]
    said = CliRunner().invoke(main, back)
    assert said.output.startswith(f"{n} positions of {out.night} unchecked, recorded as sent at 20")
    with Store(out.target / STORE_NAME) as store:
        assert store.rows("SELECT count(*) AS n FROM sent_positions") == [{"n": 0}]
        (event,) = store.rows("SELECT message FROM events WHERE subject = ?", [f"{out.night} unchecked"])
        assert event["message"].startswith(f"{n} positions, recorded as sent at ")
    draft = folder(out) / "unchecked.txt"  # there again
    printed, written = (
        CliRunner().invoke(main, ["mpc", out.night, "-t", str(out.target)]).output,
        draft.parent,
    )
    for said, where in ((printed, Path.cwd()), ((written / "README.txt").read_text(), written)):
        assert typed_there(said, where) == (out.target, folder(out) / "unchecked.xml")
    draft.write_text(draft.read_text().replace("COD 493\n", "COD 493\nOBS J. Møller\n", 1), encoding="utf-8")
    said = CliRunner().invoke(main, ["mpc", out.night, "-t", str(out.target), "--sent", "unchecked"])
    assert said.output.startswith(f"{n} positions")
    CliRunner().invoke(main, back)
    draft.write_text("")
    said = CliRunner().invoke(main, ["mpc", out.night, "-t", str(out.target), "--sent", "unchecked"])
    assert (said.exit_code, "no position in it can be read" in said.output) == (1, True)
    again = CliRunner().invoke(main, back)
    assert (again.exit_code, "nothing is recorded as sent" in again.output) == (1, True)


@pytest.mark.binaries
def test_what_becomes_of_objects_that_were_sent_is_said(night, tmp_path):
    """Of one all positions but one were sent; another one is called an artifact afterwards."""
    out = run(tmp_path / "out", night.directory, reference=night.refcat, DRAFT_POLICY="ALL", **HEADER)
    draft = folder(out) / "unchecked.txt"
    lines = draft.read_text().splitlines(keepends=True)
    late, other = (lines[-1][5:12], lines[-1 - sum(line[5:12] == lines[-1][5:12] for line in lines)][5:12])
    draft.write_text("".join(lines[:-1]))
    n = record_sent(out.target, night=out.night, draft="unchecked")
    with Store(out.target / STORE_NAME) as store:
        names = temporary_names(out.candidates.assign(FIELD="F01"), night=out.night)
        (wrong,) = (candidate for candidate, name in names.items() if name == other)
        place = place_in(store, out.night, wrong)
        store.give_verdict(out.night, wrong, "artifact", person="Ada", version=0, seen=place)
    rewrite_night(out.target, night=out.night)
    readme = (folder(out) / "README.txt").read_text()
    assert late != other
    assert f"{n} positions are left out: they were sent before" in readme
    assert "1 later position is left out: a single one of an object that was sent" in readme
    assert f"{wrong} ({other}) was sent and is called an artifact: ask the MPC to delete" in readme


def test_only_the_last_record_of_a_draft_is_taken_back(tmp_path):
    row = {"key": "sFxe000", "stn": "493", "ra_deg": 1.0, "dec_deg": 2.0}
    now = [datetime(2026, 11, 15, 4, tzinfo=UTC)]
    with Store(tmp_path / STORE_NAME, clock=lambda: now[0]) as store:
        store.spoil_night("2026-11-14")
        store.begin_writing("2026-11-14")
        store.record_written("2026-11-14", summary=False)
        store.record_sent("2026-11-14", "neo", [{**row, "mjd": 61358.9}])
        assert not store.is_written("2026-11-14")  # a daemon writes its drafts without them
        now[0] += timedelta(hours=1)
        store.record_sent("2026-11-14", "neo", [{**row, "mjd": mjd} for mjd in (61358.95, 61358.96)])
        store.record_sent("2026-11-14", "unknown", [{**row, "mjd": 61358.97}])
        assert store.take_back_sent("2026-11-14", "neo") == (2, "2026-11-15T05:00:00.000+00:00")
        left = store.rows("SELECT draft, mjd FROM sent_positions ORDER BY mjd")
        assert left == [{"draft": "neo", "mjd": 61358.9}, {"draft": "unknown", "mjd": 61358.97}]
        assert store.take_back_sent("2026-11-13", "neo") == (0, "")


def test_a_record_that_takes_its_time_is_taken_back_whole(tmp_path):
    times = (datetime(2026, 11, 15, 4, tzinfo=UTC) + timedelta(milliseconds=k) for k in itertools.count())
    row = {"key": "sFxe000", "stn": "493", "ra_deg": 1.0, "dec_deg": 2.0}
    with Store(tmp_path / STORE_NAME, clock=lambda: next(times)) as store:
        store.record_sent("2026-11-14", "neo", [{**row, "mjd": 61358.9 + 0.01 * k} for k in range(6)])
        assert store.take_back_sent("2026-11-14", "neo")[0] == 6


# ---- what was sent, and a seed user's table -----------------------------------------------------------------------


def test_what_was_sent_keeps_its_name_when_an_earlier_field_arrives():
    """F01 was observed first and comes last: without the ledger its detection would name the object anew."""
    later = pd.DataFrame(track("F02-0001", "F02", mjd=61358.8 + 2.0 / 24.0, ra=50.0 + 60.0 / 3600.0 / 0.951))
    sent_as = temporary_names(later, night="2026-11-14")["F02-0001"]
    ledger = [
        {"key": sent_as, "mjd": r["MID_EXPOSURE_MJD"], "ra_deg": r["RA"], "dec_deg": r["DEC"]}
        for r in later.to_dict("records")
    ]
    both = pd.concat([pd.DataFrame(track("F01-0001", "F01")), later], ignore_index=True)
    gone, taken = already_sent(both, ledger)
    assert gone.tolist() == [False] * 4 + [True] * 4
    named = temporary_names(both, night="2026-11-14", taken=taken)
    assert named == {"F01-0001": sent_as, "F02-0001": sent_as}
    assert temporary_names(both, night="2026-11-14")["F01-0001"] != sent_as


@pytest.mark.binaries
def test_what_was_sent_is_not_written_again(night, tmp_path):
    out = run(tmp_path / "out", night.directory, reference=night.refcat, DRAFT_POLICY="ALL", **HEADER)
    (folder(out) / "mpc80.txt").write_text("a draft of an older version\n")
    record_sent(out.target, night=out.night, draft="unchecked")
    rewrite_night(out.target, night=out.night)
    assert sorted(p.name for p in folder(out).iterdir()) == ["README.txt", "pointings.json"]
    assert "positions are left out: they were sent before" in (folder(out) / "README.txt").read_text()


@pytest.mark.binaries
def test_pointings_say_all_that_the_mpc_asks_for(night, tmp_path):
    out = run(tmp_path / "out", night.directory, reference=night.refcat, **HEADER)
    done = json.loads((folder(out) / "pointings.json").read_text())
    asked = {
        "action",
        "surveyExpName",
        "mode",
        "mpcCode",
        "time",
        "duration",
        "center",
        "widths",
        "limit",
        "filter",
    }
    assert len(done) == 4
    assert all(set(p) == asked for p in done)
    assert len({p["surveyExpName"] for p in done}) == 4
    assert all(re.fullmatch(r"[!-~]{1,64}", p["surveyExpName"]) for p in done)


def test_a_seed_users_table(tmp_path):
    """No CANDIDATE, no FIELD, and the seed's columns of verdicts: defects 22 to 24 of its converter."""
    table = pd.DataFrame(
        [
            {"SOURCE_NUMBER": n, "RA": 10.0 + 0.001 * k, "DEC": 13.6, "MID_EXPOSURE_MJD": 61358.8 + 0.01 * k,
             "SKYBOT_NUMBER": number, "SKYBOT_NAME": name, "MATCHED": matched,
             "INSPECTED": True, "ASTEROID": asteroid, "UNKNOWN": False}
            for n, number, name, matched, asteroid in (
                (1, "", "2015 LA1", True, True), (2, "5945", "Roachapproach", True, True), (3, "", "", False, True),
                (4, "", "", False, False),
            )
            for k in range(3)
        ]
    )  # fmt: skip
    path = tmp_path / "night.csv"
    table.to_csv(path, index=False)
    result = CliRunner().invoke(main, ["--mpc", str(path), "--code", "493"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("9 observations")
    lines = [line for line in (tmp_path / "night_mpc.txt").read_text().splitlines() if line.endswith("493")][
        1:
    ]
    assert len(lines) == 9
    assert all(len(line) == 80 for line in lines)
    assert {line[:12] for line in lines} >= {"     K15L01A", "05945       "}
    assert not any(line.startswith("00000") for line in lines)
    assert "+13 36 00.0" in lines[0]
    missing = CliRunner().invoke(main, ["--mpc", str(tmp_path / "none.csv")])
    assert missing.exit_code == 1
    assert "none.csv" in missing.output


def test_a_table_of_artifacts_alone_and_one_half_inspected(tmp_path):
    rows = [
        {
            "SOURCE_NUMBER": n,
            "RA": 10.0,
            "DEC": 13.6 + k / 100,
            "MID_EXPOSURE_MJD": 61358.8 + n / 100 + k / 1000,
        }
        for n in (1, 2)
        for k in (0, 1)
    ]
    artifact = {"INSPECTED": True, "ASTEROID": False, "UNKNOWN": False}
    path = tmp_path / "all.csv"
    pd.DataFrame([row | artifact for row in rows]).to_csv(path, index=False)
    with pytest.raises(BadInput, match="artifacts"):
        draft_of_csv(path, code="493")
    assert not (tmp_path / "all_mpc.txt").exists()

    path = tmp_path / "half.csv"  # nothing is said of the second one: its cells are blank
    pd.DataFrame([row | artifact for row in rows[:2]] + rows[2:]).to_csv(path, index=False)
    written, draft = draft_of_csv(path, code="493")
    assert draft.n_observations == 2
    mjd = [s.mjd for s in sightings_of(written.read_text())]
    assert mjd == pytest.approx([row["MID_EXPOSURE_MJD"] for row in rows[2:]], abs=1e-6)


def test_tables_of_one_night_give_no_two_objects_one_name(tmp_path):
    """One table per field, as the pipeline leaves them."""
    keys = []
    for field, ra in (("a", 10.0), ("b", 20.0)):
        path = tmp_path / f"{field}.csv"
        pd.DataFrame(
            {"SOURCE_NUMBER": 1, "RA": ra, "DEC": 5.0, "MID_EXPOSURE_MJD": 61358.8 + k / 100}
            for k in range(3)
        ).to_csv(path, index=False)
        keys += [s.key for s in sightings_of(draft_of_csv(path, code="493")[0].read_text())]
    assert len(set(keys)) == 2


def test_a_table_of_ours_gives_what_the_drafts_have(tmp_path):
    """The same names, nothing that was not measured, no single positions; numbers without a point."""
    common = {"DEC": 5.0, "FIELD": "F01", "EXTENSION": 0, "PMRA": 30.0, "PMDEC": 0.0, "FLAGS_SSOS": 0}
    rows = [
        {**common, "CANDIDATE": name, "SOURCE_NUMBER": n, "RA": 10.0 + n + k / 1000, "NUMBER": 10 * n + k,
         "MID_EXPOSURE_MJD": 61358.8 + k / 100, "IMAGE_FILENAME": f"{k}.fits", "SKYBOT_NUMBER": number,
         "MATCH_STATE": "matched" if number else "unknown", "MATCHED": bool(number), "SKYBOT_NAME": ""}
        for n, (name, number) in enumerate((("F01-0001", ""), ("F01-0002", "5945.0"), ("F01-0003", "")))
        for k in range(1 if n == 2 else 4)
    ]  # fmt: skip
    rows[3]["FLAGS_SSOS"] = PLACED_FLAG
    pd.DataFrame(rows).to_csv(tmp_path / "ours.csv", index=False)
    written, draft = draft_of_csv(tmp_path / "ours.csv", code="493")
    keys = [s.key for s in sightings_of(written.read_text())]
    name = temporary_names(pd.DataFrame(rows), night="2026-11-14")["F01-0001"]
    assert sorted(keys) == sorted([name] * 3 + ["5945"] * 4)
    assert draft.problems[:2] == (
        "1 position is left out: not measured",
        "1 candidate is left out: of a single position",
    )
