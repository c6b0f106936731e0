"""Verdicts in the store: versions, two people, undo, candidates that are linked anew."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from ssosd.night.files import with_verdicts
from ssosd.store import STORE_NAME, Judged, Seen, Store
from tests.known_rows import known_rows
from tests.night_store import NIGHT, insert, place_in

FIELD_A, FIELD_B = 1, 2
LEDGER = pd.DataFrame(columns=["SOURCE_NUMBER", "FILTER", "REASON", "MEASURED", "LIMIT", "N_DETECTIONS"])


def candidate(name, ra, dec=20.0, mjd=61358.9, pm_ra=30.0, pm_dec=-10.0, sequence=FIELD_A):
    return {"night": NIGHT, "candidate": name, "sequence": sequence, "source_number": 1, "n_detections": 4,
            "mjd_first": mjd, "ra_deg": ra, "dec_deg": dec, "pm": 31.6, "pm_ra": pm_ra, "pm_dec": pm_dec,
            "match_state": "unknown"}  # fmt: skip


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / STORE_NAME, clock=lambda: datetime(2026, 11, 15, 4, 0, tzinfo=UTC)) as opened:
        for number, field in ((FIELD_A, "A"), (FIELD_B, "B")):
            insert(tmp_path, "sequences", {"id": number, "night": NIGHT, "field": field, "ra_deg": 1.0,
                                           "dec_deg": 2.0, "state": "done", "n_exposures": 4})  # fmt: skip
        insert(tmp_path, "candidates", candidate("A-0001", 10.0), candidate("A-0002", 10.1),
               candidate("B-0001", 12.0, sequence=FIELD_B))  # fmt: skip
        opened.begin_writing(NIGHT)
        opened.record_written(NIGHT, summary=False)
        yield opened


def said(store):
    return {name: given.verdict for name, given in store.verdicts(NIGHT).items()}


def give(store, name, verdict, *, seen=None, **deed):
    """A verdict of a person who looks now, unless told what was seen."""
    return store.give_verdict(NIGHT, name, verdict, seen=seen or place_in(store, NIGHT, name), **deed)


def link_anew(store, *candidates, sequence=FIELD_A):
    store.record_sequence(
        sequence, fingerprint="f", columns={}, catalog_numbers={}, dropped={}, ledger=LEDGER,
        candidates=[{k: v for k, v in c.items() if k != "sequence"} for c in candidates],
        known=known_rows(), delay_s=60.0, quality=pd.DataFrame(), completeness=pd.DataFrame(),
    )  # fmt: skip


def test_a_verdict_makes_the_night_s_files_old_in_the_same_transaction(store):
    assert store.is_written(NIGHT)
    given = give(store, "A-0001", "asteroid", person="Ada", version=0)
    assert (given.taken, given.now.verdict, given.now.person) == (True, "asteroid", "Ada")
    assert given.now.at == "2026-11-15T04:00:00.000+00:00"
    assert not store.is_written(NIGHT)
    assert said(store) == {"A-0001": "asteroid"}
    assert store.rows("SELECT candidate, verdict, person, version FROM verdicts") == [
        {"candidate": "A-0001", "verdict": "asteroid", "person": "Ada", "version": given.now.version}
    ]


def test_a_verdict_that_is_given_while_the_files_are_written_has_them_written_again(store):
    store.begin_writing(NIGHT)
    assert not store.is_written(NIGHT)
    give(store, "A-0001", "asteroid", person="Ada", version=0)
    store.record_written(NIGHT, summary=False)
    assert store.unwritten_nights() == [NIGHT]
    store.begin_writing(NIGHT)
    store.record_written(NIGHT, summary=False)
    assert store.is_written(NIGHT)


def test_who_has_not_seen_the_other_s_verdict_is_refused_and_shown_it(store):
    first = give(store, "A-0001", "asteroid", person="Ada", version=0)
    second = give(store, "A-0001", "artifact", person="Bob", version=0)
    assert not second.taken
    assert second.now == first.now
    third = give(store, "A-0001", "artifact", person="Bob", version=second.now.version)
    assert third.taken
    assert said(store) == {"A-0001": "artifact"}
    history = [(row["person"], row["verdict"]) for row in store.verdict_history(NIGHT)]
    assert history == [("Ada", "asteroid"), ("Bob", "artifact")]
    assert [r["person"] for r in store.verdict_history(NIGHT, after=first.now.version)] == ["Bob"]


def test_only_candidates_are_judged(store):
    nothing = Judged(taken=False, now=None)
    elsewhere = Seen(mjd=61358.9, ra_deg=10.0, dec_deg=21.0)
    assert give(store, "A-0009", "asteroid", person="Ada", version=0, seen=elsewhere) == nothing
    deed = {"person": "Ada", "version": 0, "seen": place_in(store, NIGHT, "A-0001")}
    assert store.give_verdict("2026-11-15", "A-0001", "asteroid", **deed) == nothing
    assert store.verdict_history(NIGHT) == []


def test_undo_takes_back_one_s_own_deeds_one_by_one(store):
    one = give(store, "A-0001", "asteroid", person="Ada", version=0)
    give(store, "A-0001", "unknown", person="Ada", version=one.now.version)
    give(store, "A-0002", "artifact", person="Bob", version=0)
    give(store, "B-0001", "artifact", person="Ada", version=0)
    states = []
    for _ in range(4):
        undone = store.undo_verdict(NIGHT, person="Ada")
        states.append((undone.taken, undone.now and (undone.now.candidate, undone.now.verdict)))
    assert states == [
        (True, ("B-0001", None)),
        (True, ("A-0001", "asteroid")),
        (True, ("A-0001", None)),
        (True, None),
    ]
    assert {k: v for k, v in said(store).items() if v} == {"A-0002": "artifact"}
    assert store.rows("SELECT count(*) AS n FROM judgements") == [{"n": 7}]


def test_undo_does_not_touch_what_another_person_has_said_since(store):
    mine = give(store, "A-0001", "asteroid", person="Ada", version=0)
    give(store, "A-0001", "artifact", person="Bob", version=mine.now.version)
    undone = store.undo_verdict(NIGHT, person="Ada")
    assert (undone.taken, undone.now.person) == (False, "Bob")
    assert said(store) == {"A-0001": "artifact"}


def test_a_hundred_verdicts_of_two_processes_at_once_are_all_there(store, tmp_path):
    """Each thread has its own connection, as two processes have; every refused one is seen, none is lost."""
    taken: dict[str, list[bool]] = {"Ada": [], "Bob": []}

    def judge(person):
        with Store(tmp_path / STORE_NAME) as mine:
            for k in range(50):
                version = v.version if (v := mine.verdicts(NIGHT).get("A-0001")) else 0
                word = ("asteroid", "artifact")[k % 2]
                taken[person].append(give(mine, "A-0001", word, person=person, version=version).taken)

    threads = [threading.Thread(target=judge, args=[person]) for person in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = [row["person"] for row in store.verdict_history(NIGHT)]
    assert {p: history.count(p) for p in taken} == {p: sum(words) for p, words in taken.items()}
    assert all(len(words) == 50 for words in taken.values())
    assert len(history) >= 50


def test_verdicts_follow_candidates_that_are_linked_anew_under_other_names(store):
    """An earlier exposure comes late: every candidate is first seen an hour earlier, and one more is found."""
    give(store, "A-0001", "asteroid", person="Ada", version=0)
    give(store, "A-0002", "artifact", person="Ada", version=0)
    give(store, "B-0001", "unknown", person="Bob", version=0)
    hour = 1 / 24
    back_ra, back_dec = -30.0 / 3600 / np.cos(np.radians(20.0)), 10.0 / 3600
    link_anew(
        store,
        candidate("A-0001", 9.9, mjd=61358.9 - hour),
        candidate("A-0002", 10.1 + back_ra, 20.0 + back_dec, mjd=61358.9 - hour),
        candidate("A-0003", 10.0 + back_ra, 20.0 + back_dec, mjd=61358.9 - hour),
    )
    assert said(store) == {"A-0002": "artifact", "A-0003": "asteroid", "B-0001": "unknown"}
    assert {row["candidate"] for row in store.verdict_history(NIGHT)} == set(said(store))


def test_a_verdict_waits_for_a_candidate_that_is_gone_and_never_falls_on_another(store):
    give(store, "A-0001", "artifact", person="Ada", version=0)
    link_anew(store, candidate("A-0001", 10.0, 20.0 + 20 / 3600), candidate("A-0002", 10.1))
    assert said(store) == {}
    link_anew(store, candidate("A-0001", 10.0), candidate("A-0002", 10.1))
    assert said(store) == {"A-0001": "artifact"}


def test_two_candidates_near_one_that_was_judged_the_nearer_has_it(store):
    give(store, "A-0001", "asteroid", person="Ada", version=0)
    link_anew(store, candidate("A-0001", 10.0, 20.0 + 3 / 3600), candidate("A-0002", 10.0, 20.0 - 1 / 3600))
    assert said(store) == {"A-0002": "asteroid"}


def test_a_verdict_on_what_was_seen_before_the_linking_goes_to_that(store):
    """The same late exposure while a page is open: A-0001 of the page is called A-0002 now."""
    before = place_in(store, NIGHT, "A-0001")
    hour, dec = 1 / 24, 20.0 + 10.0 / 3600
    ra = 10.0 - 30.0 / 3600 / np.cos(np.radians(20.0))
    link_anew(
        store, candidate("A-0001", 9.9, mjd=61358.9 - hour), candidate("A-0002", ra, dec, mjd=61358.9 - hour)
    )
    given = give(store, "A-0001", "artifact", person="Ada", version=0, seen=before)
    assert (given.taken, given.now.candidate) == (True, "A-0002")
    assert said(store) == {"A-0002": "artifact"}
    second = give(store, "A-0001", "asteroid", person="Bob", version=0, seen=before)
    assert (second.taken, second.now) == (False, given.now)


def test_a_verdict_on_what_is_gone_since_is_refused(store):
    before = place_in(store, NIGHT, "A-0001")
    link_anew(store, candidate("A-0001", 10.0, 20.0 + 20 / 3600), candidate("A-0002", 10.1))
    given = give(store, "A-0001", "artifact", person="Ada", version=0, seen=before)
    assert given == Judged(taken=False, now=None)
    assert store.rows("SELECT * FROM judged") == []


def test_of_two_candidates_in_one_place_the_one_of_that_name_is_judged(store):
    link_anew(store, candidate("A-0001", 10.0), candidate("A-0002", 10.0, pm_ra=-30.0))
    give(store, "A-0002", "artifact", person="Ada", version=0)
    give(store, "A-0001", "asteroid", person="Ada", version=0)
    assert said(store) == {"A-0001": "asteroid", "A-0002": "artifact"}


def test_columns_of_the_seed_say_what_was_said(store):
    give(store, "A-0001", "asteroid", person="Ada", version=0)
    give(store, "A-0002", "artifact", person="Ada", version=0)
    give(store, "B-0001", "unknown", person="Ada", version=0)
    give(store, "B-0001", None, person="Ada", version=3)
    table = pd.DataFrame({"CANDIDATE": ["A-0001", "A-0001", "A-0002", "B-0001", "B-0002"]})
    table = with_verdicts(table, store.verdicts(NIGHT))
    assert table["INSPECTED"].tolist() == [True, True, True, False, False]
    assert table["ASTEROID"].tolist() == [True, True, False, False, False]
    assert table["UNKNOWN"].tolist() == [False] * 5
    assert {str(table[c].dtype) for c in ("INSPECTED", "ASTEROID", "UNKNOWN")} == {"bool"}
    assert list(with_verdicts(table.iloc[:0], {}).columns) == list(table.columns)
