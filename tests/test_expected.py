"""What became of each known object: every outcome, on a small sky of detections that is made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from ssosd.config import PARAMETERS
from ssosd.filters.settings import ChainSettings
from ssosd.identify import places as places_module
from ssosd.identify.evidence import Evidence
from ssosd.identify.expected import EXPECTED_COLUMNS, OUTCOMES, expected_objects
from ssosd.identify.known import known_table
from ssosd.identify.limits import Limit, limit_from_known, measured_limit
from ssosd.identify.places import look
from ssosd.sphere import to_radec, unit_vectors
from ssosd.work.identifying import needed_detections

N, NEEDED, RADIUS = 5, 4, 10.0
RA, DEC, SIZE = 150.0, 20.0, 0.2  # centre and half a side of the only chip, degrees
COS = np.cos(np.radians(DEC))
LIMIT = Limit(mag=21.0, by="limit_50 in r", seeing_arcsec=2.0)


class Sky:
    """Known objects, the detections of each, stars and what became of the sources."""

    def __init__(self):
        self.known, self.seen, self.stars, self.ledger, self.found = [], [], [], [], []

    def place(self, north, k, rate):
        """Where an object is in exposure k (from 0), 10 min apart: it moves to the east."""
        return RA + (rate * k / 6.0) / 3600.0 / COS, DEC + north / 60.0

    def object(
        self, name, north, *, mag=18.0, rate=60.0, error=0.2, seen=range(N), scamp=7, track=-1, off=0.3
    ):
        for k in range(N):
            ra, dec = self.place(north, k, rate)
            self.known.append((k + 1, name, mag, ra, dec, rate, 0.0, error))
            if k in seen:
                numbers = [scamp[k] if isinstance(scamp, (list, tuple)) else scamp, track]
                self.seen.append((k + 1, ra + off / 3600.0 / COS, dec, mag - 25.0, *numbers))
        return self

    def star_near(self, north, k, *, rate=60.0, away=1.0):
        ra, dec = self.place(north, k, rate)
        self.stars.append((ra + away / 3600.0 / COS, dec))
        for exposure in range(1, N + 1):
            self.seen.append((exposure, ra + away / 3600.0 / COS, dec, -9.0, -1, -1))
        return self

    def outcome(self, *, limit=LIMIT, exptime_s=60.0):
        columns = ["CATALOG_NUMBER", "NAME", "MAG", "RA", "DEC", "PMRA", "PMDEC", "ERR"]
        known = known_table(pd.DataFrame(self.known, columns=columns).assign(SOURCE="SKYBOT"))
        table, _ = expected_objects(
            known=known, evidence=self.evidence(), candidates=self.candidates(),
            ledger=pd.DataFrame(
                self.ledger, columns=["SOURCE_NUMBER", "FILTER", "REASON", "MEASURED", "LIMIT", "N_DETECTIONS"]
            ),
            needed=NEEDED, radius_arcsec=RADIUS, exptime_s=exptime_s, limit=limit,
        )  # fmt: skip
        assert list(table.columns) == list(EXPECTED_COLUMNS)
        assert set(table["OUTCOME"]) <= set(OUTCOMES)
        return table.set_index("NAME")

    def evidence(self):
        seen = pd.DataFrame(self.seen, columns=["CATALOG_NUMBER", "RA", "DEC", "MAG", "SCAMP", "TRACKLET"])
        seen = seen.assign(EXTENSION=1, NUMBER=range(1, len(seen) + 1))
        linked = [(by, seen[seen[by] >= 0]) for by in ("TRACKLET", "SCAMP")]
        sources = pd.concat([rows.assign(SOURCE_NUMBER=rows[by], LINKED_BY=by) for by, rows in linked])
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * SIZE * [1.0 / COS, 1.0] + [RA, DEC]
        return Evidence.of(
            detections=seen.sample(frac=1.0, random_state=3),
            sources=sources,
            stars=pd.DataFrame(self.stars, columns=["RA", "DEC"]),
            chips=[(k, corners) for k in range(1, N + 1)],
        )

    def candidates(self):
        rows = [
            {
                "SOURCE_NUMBER": source, "CANDIDATE": f"F-{source}", "MATCH_STATE": state,
                "MATCHED": state == "matched", "SKYBOT_NUMBER": np.nan, "SKYBOT_NAME": name, "SKYBOT_RA": RA,
            }
            for source, name, state in self.found
            for _ in range(N)
        ]  # fmt: skip
        return pd.DataFrame(rows)


def test_columns_and_outcomes_are_documented():
    page = (Path(__file__).parents[1] / "docs" / "output.md").read_text()
    for column, meaning in EXPECTED_COLUMNS.items():
        assert f"| `{column}` | {meaning} |" in page
    for outcome in OUTCOMES:
        assert f"| `{outcome}` | " in page


def test_recovered_and_possible():
    sky = Sky().object("A", 0).object("B", 2, scamp=8)
    sky.found = [(7, "A", "matched"), (8, "B", "possible")]
    table = sky.outcome()
    assert table["OUTCOME"].to_dict() == {"A": "recovered", "B": "possible"}
    assert table.loc["A", "CANDIDATE"] == "F-7"
    assert table.loc["A", ["N_PREDICTED", "N_DETECTED"]].tolist() == [5, 5]


def test_off_the_detector_and_uncertain():
    table = Sky().object("OFF", 30.0, seen=()).object("VAGUE", 0, error=50.0, seen=()).outcome()
    assert table["OUTCOME"].to_dict() == {"OFF": "off the detector", "VAGUE": "uncertain"}
    assert table.loc["OFF", "N_PREDICTED"] == 0
    assert (table.loc["VAGUE", "MEASURED"], table.loc["VAGUE", "LIMIT"]) == (50.0, RADIUS)


def test_rejected_names_the_filter_and_the_value():
    sky = Sky().object("A", 0)
    sky.ledger = [(7, "FILTER_PM", "PM above PM_UP", 312.5, 300.0, 5)]
    row = sky.outcome().loc["A"]
    assert (row["OUTCOME"], row["FILTER"], row["SOURCE_NUMBER"]) == ("rejected", "FILTER_PM", 7)
    assert (row["MEASURED"], row["LIMIT"]) == (312.5, 300.0)
    assert row["REASON"] == "PM above PM_UP (312.5, limit 300)"


def test_of_what_may_be_saturated_it_is_said_how_it_gets_in():
    table = Sky().object("CERES", 0, mag=8.0, seen=()).object("DIM", 2, mag=18.0, seen=()).outcome()
    assert table["OUTCOME"].to_dict() == {"CERES": "few detections", "DIM": "few detections"}
    assert table["REASON"].str.contains("FLAGS_MASK").to_dict() == {"CERES": True, "DIM": False}


def test_a_track_counts_as_a_source_of_scamps_does():
    """SCAMP has it in pieces; the tracklet linker has all of it, and its track was rejected."""
    sky = Sky().object("A", 0, scamp=(1, 1, 2, 3, 4), track=90)
    sky.ledger = [(1, "FILTER_DETEC", "n", 2.0, 4.0, 2), (90, "FILTER_MOTION", "chi", 9.0, 5.0, 5)]
    row = sky.outcome().loc["A"]
    assert (row["OUTCOME"], row["FILTER"], row["SOURCE_NUMBER"]) == ("rejected", "FILTER_MOTION", 90)


def test_not_matched_is_a_candidate_whose_motion_does_not_agree():
    sky = Sky().object("A", 0, track=90)
    sky.found = [(7, "another", "unknown")]
    row = sky.outcome().loc["A"]
    assert (row["OUTCOME"], row["CANDIDATE"], row["SOURCE_NUMBER"]) == ("not matched", "F-7", 7)
    assert row["REASON"] == "the motion of F-7 does not agree"


def test_a_second_entry_of_an_object_is_told_which_one_its_candidate_is():
    """One object that is listed twice, as Chiron is with its two numbers."""
    sky = Sky().object("95P", 0, track=90)
    sky.found = [(7, "Chiron", "matched")]
    row = sky.outcome().loc["95P"]
    assert (row["OUTCOME"], row["REASON"]) == ("not matched", "F-7 is Chiron")


def test_not_linked():
    row = Sky().object("A", 0, scamp=(1, 2, 3, 4, 5)).outcome().loc["A"]
    assert (row["OUTCOME"], row["N_DETECTED"]) == ("not linked", 5)


def test_too_faint_few_detections_and_blended():
    sky = Sky().object("FAINT", 0, mag=21.4, seen=(0,)).object("FEW", 2, seen=(0, 1))
    sky.object("HIDDEN", 4, seen=(0, 1, 2), rate=120.0)
    for k in (3, 4):
        sky.star_near(4, k, rate=120.0)
    table = sky.outcome()
    assert table["OUTCOME"].to_dict() == {"HIDDEN": "blended", "FEW": "few detections", "FAINT": "too faint"}
    assert table.loc["FAINT", "MEASURED"] == pytest.approx(21.4, abs=0.1)
    assert table.loc["FAINT", "LIMIT"] == 21.0
    assert table.loc["HIDDEN", "N_DETECTED"] == 3


def test_a_trail_is_fainter_than_its_light():
    sky = Sky().object("FAST", 0, mag=19.5, rate=1000.0, seen=())
    assert sky.outcome().loc["FAST", "OUTCOME"] == "too faint"
    assert "as a trail" in sky.outcome().loc["FAST", "REASON"]
    assert sky.outcome(exptime_s=1.0).loc["FAST", "OUTCOME"] == "few detections"


def test_a_star_at_the_place_is_not_the_object():
    """The object passes stars; detections of these are none of it."""
    sky = Sky().object("A", 0, seen=(), rate=120.0)
    for k in range(N):
        sky.star_near(0, k, rate=120.0, away=0.5)
    row = sky.outcome().loc["A"]
    assert (row["N_DETECTED"], row["OUTCOME"]) == (0, "blended")


def test_without_a_measured_limit_the_known_objects_give_one():
    sky = Sky()
    for i in range(4):
        sky.object(f"K{i}", 2.0 * i, mag=17.0 + i, scamp=i)
    sky.object("FAINT", -3, mag=22.0, seen=())
    table = sky.outcome(limit=None)
    assert table.loc["FAINT", "OUTCOME"] == "too faint"
    assert 19.0 < table.loc["FAINT", "LIMIT"] < 20.5
    places = look(
        object_=np.arange(1), ra=np.array([RA]), dec=np.array([DEC]), exposure=np.array([1]),
        reach=np.array([2.0]), evidence=sky.evidence(),
    )  # fmt: skip
    nothing = limit_from_known(v_mag=np.array([17.0]), places=places, evidence=sky.evidence())
    assert np.isnan(nothing.mag)


def test_many_exposures_are_not_asked_one_by_one(monkeypatch):
    """Each exposure had asked each other one: of a thousand that took 45 s."""
    asked = []

    class Counted(cKDTree):
        def query(self, *args, **more):
            asked.append(args)
            return super().query(*args, **more)

        def query_ball_point(self, *args, **more):
            asked.append(args)
            return super().query_ball_point(*args, **more)

    monkeypatch.setattr(places_module, "cKDTree", Counted)
    sky = Sky().object("A", 1.0).object("B", 2.0).star_near(3.0, 0)
    known = np.array([(row[0], row[3], row[4]) for row in sky.known])
    look(
        object_=np.repeat([0, 1], N), ra=known[:, 1], dec=known[:, 2], exposure=known[:, 0].astype(np.int64),
        reach=np.full(len(known), 2.0), evidence=sky.evidence(),
    )  # fmt: skip
    assert N < len(asked) <= 5 * N


@pytest.mark.parametrize("bands", [("clear", "w"), (None, None)])
def test_no_limit_from_bands_without_a_place_in_v(bands):
    quality = pd.DataFrame(
        {"band": bands, "limit_50": [20.0, 20.1], "limit_5sigma": [21.0, 21.0], "seeing_arcsec": 2.0}
    )
    assert measured_limit(quality) is None


def test_evidence_is_kept_to_the_bit(tmp_path):
    evidence = Sky().object("A", 0, track=90).star_near(0, 1).evidence()
    for name in ("a.npz", "b.npz"):
        evidence.save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = Evidence.load(tmp_path / "a.npz")
    assert np.array_equal(again.sources, evidence.sources)
    assert np.array_equal(again.corners, evidence.corners)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.floats(-8.0, 8.0), st.floats(-8.0, 8.0)), min_size=0, max_size=40
    ),
    st.floats(-3.0, 3.0),
    st.floats(-3.0, 3.0),
)
def test_the_nearest_detection_that_is_no_star(points, east, north):
    """Against looking at every pair."""
    at = np.array([(k, x, y) for k, x, y in points]).reshape(-1, 3)
    towards = unit_vectors(RA, DEC)
    axes = np.array([np.cross([0.0, 0.0, 1.0], towards), [0.0, 0.0, 0.0]])
    axes[0] /= np.linalg.norm(axes[0])
    axes[1] = np.cross(towards, axes[0])
    arcsec = np.radians(1.0 / 3600.0)

    def sky(x, y):
        return to_radec(towards + arcsec * (np.multiply.outer(x, axes[0]) + np.multiply.outer(y, axes[1])))

    ra, dec = sky(at[:, 1], at[:, 2]) if len(at) else (np.empty(0), np.empty(0))
    table = pd.DataFrame(
        {"CATALOG_NUMBER": at[:, 0].astype(int) + 1, "RA": ra, "DEC": dec, "MAG": -9.0, "EXTENSION": 1,
         "NUMBER": np.arange(len(at)), "SOURCE_NUMBER": np.arange(len(at)), "LINKED_BY": "SCAMP"}
    )  # fmt: skip
    evidence = Evidence.of(
        detections=table, sources=table, stars=pd.DataFrame({"RA": [], "DEC": []}), chips=[]
    )
    place = sky(np.array([east]), np.array([north]))
    found = look(
        object_=np.zeros(1, dtype=np.intp), ra=place[0], dec=place[1], exposure=np.array([1]),
        reach=np.array([2.0]), evidence=evidence,
    )  # fmt: skip

    def is_star(x, y):
        others = [n for n in {int(k) for k in at[:, 0]} if n != 0]
        seen = sum(any(k == n and np.hypot(a - x, b - y) <= 1.5 for k, a, b in points) for n in others)
        return seen > 0 and 2 * seen >= len(others)

    best = None
    for i, (k, x, y) in enumerate(points):
        away = np.hypot(x - east, y - north)
        if k == 0 and away <= 2.0 and not is_star(x, y) and (best is None or away < best[0]):
            best = (away, i)
    assert bool(found.detected[0]) == (best is not None)
    if best is not None:
        chosen = points[int(found.sources[0, 0])]
        assert np.hypot(chosen[1] - east, chosen[2] - north) == pytest.approx(best[0], abs=1e-6)


@pytest.mark.parametrize(
    ("needed", "changes"),
    [
        (4, {}),
        (3, {"FILTER_DETEC": False}),  # two positions fit any motion
        (3, {"DETECTIONS": (1,)}),
        (3, {"DETECTIONS": (1,), "LINKER": "SCAMP"}),
        (2, {"DETECTIONS": (1,), "LINKER": "SCAMP", "MOTION_FIT": "SEED"}),
        (2, {"FILTER_DETEC": False, "LINKER": "SCAMP", "MOTION_FIT": "SEED"}),
        (1, {"FILTER_DETEC": False, "LINKER": "SCAMP", "FILTER_MOTION": False}),
        (5, {"DETECTIONS": (1, 3, 4), "FILTER_MOTION": False}),
        (2, {"DETECTIONS": (1, 3, 4), "LINKER": "SCAMP", "FILTER_MOTION": False}),
    ],
)
def test_detections_that_an_object_needs_are_those_of_a_candidate(needed, changes):
    names = [*ChainSettings.__slots__, "LINKER"]
    config = {n.upper(): PARAMETERS[n.upper()].parse(PARAMETERS[n.upper()].default) for n in names}
    assert needed_detections(config | changes) == needed
