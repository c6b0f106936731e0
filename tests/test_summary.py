"""The night's summary: every file accounted for, the same bytes for the same night, readable by people."""

from __future__ import annotations

import json
import random
import re
import sqlite3
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssosd.analysis.inject.curve import completeness_curves
from ssosd.night.files import calibrated_magnitudes
from ssosd.reports.summary import MATCH_STATES, OUTCOMES, audit, night_summary, summary_json
from ssosd.reports.summary_text import summary_text
from ssosd.store import STORE_NAME, Store
from tests.night_store import NIGHT, insert, key_paths, night_of_work

DATA, TARGET = PurePosixPath("/data"), PurePosixPath("/r")
#: The rows that a summary is made of, as the store has them.
QUERIES = {
    "exposures": "SELECT e.digest, e.path, e.date_obs, e.mjd_mid, e.exptime_s, e.filter, e.object, e.state,"
    " e.reason, e.next_step, c.n_detections, c.fwhm_px FROM exposures e"
    " LEFT JOIN catalogues c ON c.key = e.catalogue WHERE e.night = :night",
    "sequences": "SELECT id, field, state, n_sources, funnel, notes, unchecked_because, reason, next_step,"
    " known_limit, known_limit_by FROM sequences WHERE night = :night",
    "members": "SELECT sequence, exposure, catalog_number, dropped_because FROM sequence_exposures"
    " WHERE sequence IN (SELECT id FROM sequences WHERE night = :night)",
    "candidates": "SELECT * FROM candidates WHERE night = :night",
    "rejections": "SELECT sequence, reason, count(*) AS n FROM rejections WHERE sequence IN"
    " (SELECT id FROM sequences WHERE night = :night) GROUP BY sequence, reason",
    "drafts": "SELECT kind, path, n_observations FROM drafts WHERE night = :night",
}


@pytest.fixture
def rows(tmp_path):
    """The rows of a painted night, from a real store."""
    Store(tmp_path / STORE_NAME).close()
    night_of_work(tmp_path)
    insert(tmp_path, "catalogues", {"key": "k1", "exposure": "e1", "path": "/c", "n_detections": 812,
                                    "fwhm_px": 2.8349, "log_tail": ""})  # fmt: skip
    connection = sqlite3.connect(tmp_path / STORE_NAME)
    connection.row_factory = sqlite3.Row
    with connection:
        connection.execute("UPDATE exposures SET catalogue = 'k1' WHERE digest = 'e1'")
        connection.execute(
            "UPDATE sequences SET funnel = ? WHERE id = 1", [json.dumps([["all", 900], ["FILTER_PM", 3]])]
        )
        connection.executemany(
            "INSERT INTO rejections VALUES (1, ?, 'FILTER_PM', ?, 1.0, 2.0, 4)",
            [(n, "PM above PM_UP" if n % 2 else "PM below PM_LOW") for n in range(5)],
        )
        connection.execute("UPDATE candidates SET pm = 31.24159, mag = 19.5 WHERE candidate = 'A_1'")
        connection.execute("UPDATE candidates SET known_number = '5945', known_name = 'Roachapproach'"
                           " WHERE candidate = 'A_1'")  # fmt: skip
    found = {
        name: [dict(row) for row in connection.execute(sql, {"night": NIGHT} if ":night" in sql else {})]
        for name, sql in QUERIES.items()
    }
    connection.close()
    with Store(tmp_path / STORE_NAME) as store:
        return {"files": store.file_rows(NIGHT), **found}


def counted(mag_low, rate_low, injected, found):
    bounds = {"mag_low": mag_low, "mag_high": mag_low + 0.5, "rate_low": rate_low, "rate_high": rate_low * 4}
    return {"sequence": 1, "band": "r", **bounds, "n_injected": injected, "n_found": found}


#: As two fields give them.
COUNTS = [
    *(counted(19.0 + k / 2, 5.0, 20, n) for k, n in enumerate((20, 19, 3, 0))),
    counted(19.0, 5.0, 10, 9), counted(20.0, 20.0, 4, 1),
]  # fmt: skip


def summary_of(rows, **changes):
    curves = completeness_curves(COUNTS)
    given = {"night": NIGHT, "exposures_per_field": 4, "data": DATA, "target": TARGET, "completeness": curves}
    given |= rows
    return night_summary(**{**given, **changes})


def test_magnitudes_are_calibrated_where_they_can_be_and_else_say_that_they_are_not(rows):
    summary = summary_of(rows, calibrated={"A_1": (20.41239, "G")})
    first, second = summary["candidates"]["listed"][:2]
    assert (first["mag"], first["mag_calib"], first["band"]) == (19.5, 20.412, "G")
    assert (second["mag_calib"], second["band"]) == (None, None)
    lines = {line.split()[0]: line.split() for line in summary_text(summary).splitlines() if "A_" in line}
    assert lines["A_1"][-4:-2] == ["20.41", "G"]
    assert "instrumental" in lines[second["candidate"]]


def test_a_candidate_seen_in_two_bands_names_both():
    table = pd.DataFrame({"CANDIDATE": ["A_1", "A_1", "A_1", "A_2"], "MAG_CALIB": [20.0, 20.4, np.nan, np.nan],
                          "BAND": ["r", "g", "", ""]})  # fmt: skip
    assert calibrated_magnitudes(table) == {"A_1": (20.2, "g/r")}
    assert calibrated_magnitudes(table[1:0]) == {}


def test_every_file_of_the_night_has_its_outcome(rows):
    audited = summary_of(rows)["audit"]
    assert audited["files"] == 9  # not yesterday's two
    assert audited["outcomes"] == {"exposure": 5, "duplicate": 1, "ignored": 1, "parked": 2, "gone": 0}
    assert [(row["file"], row["outcome"]) for row in audited["without_exposure"]] == [
        ("flat.fits", "ignored"), ("x.fits", "parked"), ("y.fits", "parked")
    ]  # fmt: skip
    assert audited["without_exposure"][1]["next_step"] == "solve it"
    assert audited["unaccounted"] == []


def test_each_field_tells_what_became_of_its_known_objects(rows):
    outcomes = [
        {"sequence": 1, "outcome": "too faint", "n": 7},
        {"sequence": 1, "outcome": "recovered", "n": 3},
    ]
    sequences = [{**row, "known_limit": 20.9, "known_limit_by": "limit_50 in r"} for row in rows["sequences"]]
    summary = summary_of(rows, known=outcomes, sequences=sequences)
    first, second, _ = summary["fields"]
    assert first["known"] == {
        "total": 10, "limit": 20.9, "limit_by": "limit_50 in r", "outcomes": {"too faint": 7, "recovered": 3}
    }  # fmt: skip
    assert second["known"]["total"] == 0
    assert "A: 10 there, limit V 20.9 by limit_50 in r: 7 too faint, 3 recovered" in summary_text(summary)


def test_each_field_tells_its_funnel_and_what_was_left_out(rows):
    first, second, third = summary_of(rows)["fields"]
    assert (first["field"], first["state"], first["n_exposures"], first["n_linked"]) == ("A", "done", 4, 3)
    assert first["partial"]
    assert first["funnel"] == [["all", 900], ["FILTER_PM", 3]]
    assert first["rejected"] == {"PM above PM_UP": 2, "PM below PM_LOW": 3}
    assert first["left_out"] == [{"file": "e4.fits", "reason": "clouds"}]
    assert first["candidates"] == {"total": 3, "matched": 1, "possible": 0, "unknown": 1, "unchecked": 1}
    assert (second["state"], second["partial"], third["reason"]) == (
        "open", False, "C: 2 usable exposures, 3 are needed"
    )  # fmt: skip
    assert not summary_of(rows, exposures_per_field=0)["fields"][0]["partial"]


def test_exposures_and_candidates_have_their_figures(rows):
    summary = summary_of(rows)
    by_file = {row["file"]: row for row in summary["exposures"]}
    assert (by_file["e1.fits"]["n_detections"], by_file["e1.fits"]["fwhm_px"]) == (812, 2.83)
    assert (by_file["e4.fits"]["field"], by_file["e4.fits"]["left_out_because"]) == ("A", "clouds")
    first = summary["candidates"]["listed"][0]
    assert (first["known"], first["pm"], first["field"]) == ("5945 Roachapproach", 31.242, "A")
    assert summary["drafts"] == [{"kind": "mpc80", "file": "mpc80.txt", "n_observations": 9}]


def test_completeness_adds_up_over_fields_by_rate_and_magnitude(rows):
    summary = summary_of(rows)
    (curve,) = summary["completeness"]
    assert (curve["band"], curve["injected"], curve["found"]) == ("r", 94, 52)
    slow, fast = curve["rates"]
    assert slow["mags"][0] == {"mag_low": 19.0, "mag_high": 19.5, "injected": 30, "found": 29}
    assert slow["half_mag"] == pytest.approx(20.0, abs=0.1)
    assert fast["half_mag"] is None  # of four movers nothing can be said
    lines = summary_text(summary).splitlines()
    at = lines.index("Completeness: 52 of 94 synthetic movers found, by rate and r magnitude")
    assert [line.split()[:5] for line in lines[at + 1 : at + 4]] == [
        ['"/h', "19.0", "19.5", "20.0", "20.5"], ["5-20", "29/30", "19/20", "3/20", "0/20"],
        ["20-80", ".", ".", "1/4", "."],
    ]  # fmt: skip
    assert completeness_curves(reversed(COUNTS)) == completeness_curves(COUNTS)
    assert "Completeness" not in summary_text(summary_of(rows, completeness=[]))


def test_the_order_of_rows_makes_no_difference(rows):
    first = summary_json(summary_of(rows))
    for seed in range(5):
        shuffled = {name: random.Random(seed).sample(many, len(many)) for name, many in rows.items()}
        assert summary_json(summary_of(shuffled)) == first
        assert summary_text(summary_of(shuffled)) == summary_text(summary_of(rows))


def test_numbers_of_rows_and_times_of_work_make_no_difference(rows):
    """Another run gives its sequences other ids, tries more often and completes them for other reasons."""
    other = json.loads(json.dumps(rows))
    for name, key in (("sequences", "id"), ("members", "sequence"), ("candidates", "sequence"),
                      ("rejections", "sequence")):  # fmt: skip
        for row in other[name]:
            row[key] = 100 - row[key]
    for row in other["files"]:
        row["seen_at_s"] = 1.0
    for row in other["sequences"]:
        row.update(tries=5, complete_because="the night is over")
    assert summary_json(summary_of(other)) == summary_json(summary_of(rows))


def test_the_folders_make_no_difference(rows):
    moved = json.loads(json.dumps(rows).replace('"/data/', '"/elsewhere/night/').replace('"/r/', '"/out/'))
    other = summary_of(moved, data=PurePosixPath("/elsewhere/night"), target=PurePosixPath("/out"))
    assert summary_json(other) == summary_json(summary_of(rows))


def test_the_json_reads_back(rows):
    summary = summary_of(rows, unaccounted=["/data/z.fits"])
    assert json.loads(summary_json(summary)) == json.loads(json.dumps(summary))
    assert "NaN" not in summary_json(summary)


def test_a_night_without_anything(rows):
    summary = summary_of({name: [] for name in rows})
    assert summary["audit"]["outcomes"] == dict.fromkeys(OUTCOMES, 0)
    assert "0 files" in summary_text(summary)
    assert json.loads(summary_json(summary)).keys() == summary_of(rows).keys()


def test_the_text_says_it_all(rows):
    text = summary_text(summary_of(rows, unaccounted=["/data/z.fits"]))
    for words in (
        "Night of 2026-11-14", "exposures   5, 1 left out", "fields      3, 1 done, 1 of them partial",
        "3: 1 known, 0 possibly known, 1 unknown, 1 unchecked", "9 files: 5 exposures, 1 duplicate, ",
        "1 NOT ACCOUNTED FOR", "partial: 3 linked", "unchecked: SkyBoT does not answer",
        "left out e4.fits: clouds", "A: all 900, FILTER_PM 3", "3  PM below PM_LOW", "5945 Roachapproach",
        "parked   x.fits: no WCS (solve it)", "ignored  flat.fits: calibration frame",
        "mpc80: 9 observations, mpc80.txt", "  z.fits",
    ):  # fmt: skip
        assert words in text
    assert "every file is accounted for" in summary_text(summary_of(rows))
    assert "2026-11-15" not in text  # no time of writing


def test_a_long_list_is_cut_in_the_text_alone(rows):
    many = [{"path": f"/data/{n:03d}.fits", "outcome": "ignored", "exposure": None, "mtime_ns": 0,
             "reason": "flat", "next_step": None} for n in range(100)]  # fmt: skip
    summary = summary_of(rows, files=many)
    assert len(summary["audit"]["without_exposure"]) == 100
    assert "and 60 more" in summary_text(summary)


PATHS = st.text("abc", min_size=1, max_size=3).map(lambda name: f"/d/{name}")


@given(st.sets(PATHS), st.dictionaries(PATHS, st.sampled_from(OUTCOMES)))
def test_audit_finds_exactly_what_has_no_row(there, outcomes):
    missing = audit([Path(path) for path in there], outcomes)
    assert missing == sorted(set(missing))
    assert set(missing) == {path for path in there if path not in outcomes or outcomes[path] == "gone"}


def test_files_belong_to_the_night_of_their_exposure_or_of_their_own(tmp_path):
    Store(tmp_path / STORE_NAME).close()
    night_of_work(tmp_path)
    with Store(tmp_path / STORE_NAME) as store:
        names = {
            night: sorted(row["path"].removeprefix("/data/") for row in store.file_rows(night))
            for night in (NIGHT, "2026-11-13", "2026-11-12")
        }
        every = sorted(path.removeprefix("/data/") for path in store.files())
    assert names["2026-11-13"] == ["broken yesterday.fits", "old.fits"]
    assert sorted(names[NIGHT] + names["2026-11-13"]) == every
    assert names["2026-11-12"] == []


def test_the_notes_of_a_field_are_told(rows):
    said = "no candidate can come of 3 exposures"
    first, *others = rows["sequences"]
    told = summary_of({**rows, "sequences": [{**dict(first), "notes": json.dumps([said])}, *others]})
    assert [field["notes"] for field in told["fields"] if field["notes"]] == [[said]]
    assert said in summary_text(told)


def test_every_key_of_the_json_is_documented(rows):
    text = (Path(__file__).resolve().parents[1] / "docs" / "json.md").read_text(encoding="utf-8")
    part = text.split("## summary.json", 1)[1]
    documented = re.findall(r"^\| `([a-z_\[\].0-9]+)` \|", part, flags=re.MULTILINE)
    paths = key_paths(json.loads(summary_json(summary_of(rows))))
    rejected = {path for path in paths if path.startswith("fields[].rejected.")}
    assert set(documented) == paths - rejected
    assert set(MATCH_STATES) <= {path.rpartition(".")[2] for path in documented}
