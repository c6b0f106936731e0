"""Candidates against known objects, compared with brute-force twins and with planted truth anywhere on the sphere."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssosd.identify.known import KnownObjects, known_table
from ssosd.identify.magnitudes import magnitude_histogram
from ssosd.identify.match import MATCH_COLUMNS, match_candidates
from ssosd.identify.pairs import Observed, Pairs, Predicted, assign, encounters
from tests.skybot_service import moved

MJD = 61358.8
HOURS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
RADIUS = 10.0


def tracks(rows, *, ra=150.0, dec=10.0, hours=HOURS):
    """Detections of objects on straight paths: one (source, xi, eta, pm_ra, pm_dec) per row, arcsec from a centre."""
    tables = []
    for source, xi, eta, pm_ra, pm_dec in rows:
        at_ra, at_dec = moved(
            np.full(len(hours), ra), np.full(len(hours), dec), xi + pm_ra * hours, eta + pm_dec * hours
        )
        tables.append(
            pd.DataFrame(
                {
                    "SOURCE_NUMBER": source,
                    "CATALOG_NUMBER": 1 + np.searchsorted(HOURS, hours),
                    "RA": at_ra,
                    "DEC": at_dec,
                    "MID_EXPOSURE_MJD": MJD + hours / 24.0,
                    "PMRA": float(pm_ra),
                    "PMDEC": float(pm_dec),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def predictions(rows, *, ra=150.0, dec=10.0, hours=HOURS):
    """Known objects on straight paths: one (name, xi, eta, pm_ra, pm_dec[, error]) per row."""
    paths = tracks([(i, *row[1:5]) for i, row in enumerate(rows)], ra=ra, dec=dec, hours=hours)
    repeat = len(hours)
    return known_table(
        {
            "CATALOG_NUMBER": paths["CATALOG_NUMBER"],
            "NUMBER": np.repeat([str(100001 + i) if i % 2 else "-" for i in range(len(rows))], repeat),
            "NAME": np.repeat([row[0] for row in rows], repeat),
            "CLASS": "MB>Middle",
            "MAG": np.repeat(18.0 + np.arange(len(rows)), repeat),
            "RA": paths["RA"],
            "DEC": paths["DEC"],
            "PMRA": paths["PMRA"],
            "PMDEC": paths["PMDEC"],
            "ERR": np.repeat([row[5] if len(row) > 5 else 0.1 for row in rows], repeat),
            "SOURCE": "SKYBOT",
        }
    )


def match(detections, known, radius=RADIUS):
    return match_candidates(detections=detections, known=known, radius_arcsec=radius)


def names(found):
    """Name (or empty) of each source."""
    return found.groupby("SOURCE_NUMBER")["SKYBOT_NAME"].first().fillna("").to_dict()


def states(found):
    per_source = found.groupby("SOURCE_NUMBER")["MATCH_STATE"].agg(["first", "nunique"])
    assert (per_source["nunique"] == 1).all()
    assert (found["MATCHED"] == (found["MATCH_STATE"] == "matched")).all()
    return per_source["first"].to_dict()


# ---- what a match says -------------------------------------------------------------------------------------


def test_columns_of_a_match():
    known = predictions([("2015 LA1", 0, 0, -30, 5), ("Ceres", 500, 0, 20, 8), ("1P/Halley", -900, 0, 3, 4)])
    found = match(tracks([(7, 501.5, -0.5, 20, 8), (9, 0, 3000, 20, 8)]), known)
    assert tuple(found.columns[-len(MATCH_COLUMNS) :]) == MATCH_COLUMNS
    assert states(found) == {7: "matched", 9: "unknown"}
    ceres = found[found["SOURCE_NUMBER"] == 7]
    assert ceres["MATCHED"].dtype == bool
    assert ceres["SKYBOT_NAME"].tolist() == ["Ceres"] * 5
    assert ceres["SKYBOT_NUMBER"].tolist() == ["100002"] * 5
    assert ceres["SKYBOT_CLASS"].tolist() == ["MB>Middle"] * 5
    assert ceres["KNOWN_BY"].tolist() == ["SKYBOT"] * 5
    assert ceres["SKYBOT_MAG"].tolist() == [19.0] * 5
    np.testing.assert_array_equal(ceres["SKYBOT_RA"], known[known["NAME"] == "Ceres"]["RA"])
    np.testing.assert_array_equal(ceres["SKYBOT_PMDEC"], [8.0] * 5)
    # observed minus predicted, on the sky
    np.testing.assert_allclose(ceres["SKYBOT_DELTARA"], 1.5, atol=1e-3)
    np.testing.assert_allclose(ceres["SKYBOT_DELTADEC"], -0.5, atol=1e-3)
    unknown = found[found["SOURCE_NUMBER"] == 9]
    assert unknown[[c for c in MATCH_COLUMNS if c not in ("MATCHED", "MATCH_STATE")]].isna().all(axis=None)


def test_crossmatch_radius_sets_what_is_a_match():
    known = predictions([("A", 0, 0, -30, 5)])
    detections = tracks([(1, 5.0, 0.0, -30, 5)])
    assert states(match(detections, known, 4.9)) == {1: "unknown"}
    assert states(match(detections, known, 5.1)) == {1: "matched"}


@pytest.mark.parametrize("dec", [1.5708, 4.7124, 29.845, 13.6, -75.0, 0.0])
@pytest.mark.parametrize("ra", [150.0, 0.0005])
def test_right_ascension_counts_at_every_declination(ra, dec):
    """The seed took the cosine of degrees: it ignored RA at some declinations, and had no wrap at RA 0."""
    known = predictions([("A", 0, 0, -30, 5)], ra=ra, dec=dec)
    for away, state in [(9.0, "matched"), (-9.0, "matched"), (11.0, "unknown"), (20000.0, "unknown")]:
        found = match(tracks([(1, away, 0.0, -30, 5)], ra=ra, dec=dec), known)
        assert states(found) == {1: state}, away
        if state == "matched":
            np.testing.assert_allclose(found["SKYBOT_DELTARA"], away, rtol=1e-3)


def test_unchecked_is_not_unknown():
    detections = tracks([(1, 0, 0, -30, 5), (2, 900, 0, 3, 4)])
    nobody_asked = match(detections, None)
    assert states(nobody_asked) == {1: "unchecked", 2: "unchecked"}
    assert set(MATCH_COLUMNS) <= set(nobody_asked.columns)  # the seed stopped with AttributeError MATCHED
    assert not nobody_asked["MATCHED"].any()

    nothing_there = match(detections, known_table({}))
    assert states(nothing_there) == {1: "unknown", 2: "unknown"}

    all_of_them = predictions([("A", 0, 0, -30, 5)])
    for checked, state_of_2 in [((1, 2, 3), "unknown"), ((4, 5), "unchecked"), ((), "unchecked")]:
        part = KnownObjects(
            table=all_of_them[all_of_them["CATALOG_NUMBER"].isin(checked)],
            checked=checked,
            unchecked={n: "HTTP 500" for n in range(1, 6) if n not in checked},
        )
        found = match(detections, part)
        assert states(found) == {1: "matched" if checked else "unchecked", 2: state_of_2}
        if checked:  # the identity is that of the source, the prediction that of the exposure
            a = found[found["SOURCE_NUMBER"] == 1]
            assert (a["SKYBOT_NAME"] == "A").all()
            assert a["SKYBOT_RA"].notna().tolist() == [n in checked for n in range(1, 6)]


def test_nothing_in_nothing_out():
    empty = tracks([(1, 0, 0, 1, 1)]).iloc[:0]
    for known in (None, known_table({}), predictions([("A", 0, 0, -30, 5)])):
        for detections in (empty, pd.DataFrame()):
            found = match(detections, known)
            assert len(found) == 0
            assert set(MATCH_COLUMNS) <= set(found.columns)


def test_again_replaces_the_former_answer_and_keeps_rows_where_they_were():
    detections = tracks([(1, 0, 0, -30, 5), (2, 900, 0, 3, 4)]).sample(frac=1.0, random_state=3)
    detections.index = detections.index * 10
    before = detections.copy()
    first = match(detections, None)
    second = match(first, predictions([("A", 0, 0, -30, 5)]))
    pd.testing.assert_frame_equal(detections, before)
    assert list(second.columns) == list(first.columns)
    pd.testing.assert_frame_equal(second[list(detections.columns)], detections)
    assert states(second) == {1: "matched", 2: "unknown"}


@pytest.mark.parametrize("kind", ["object", "string", "str"])
def test_texts_of_any_kind(kind):
    known = predictions([("A", 0, 0, -30, 5), ("B", 400, 0, 3, 4)])
    known = known.astype({"NAME": kind, "CLASS": kind, "SOURCE": kind})
    known["NUMBER"] = [math.nan] * 5 + [433.0] * 5  # as read from a csv
    found = match(tracks([(1, 0, 0, -30, 5), (2, 400, 0, 3, 4)]), known)
    assert names(found) == {1: "A", 2: "B"}
    numbers = found.groupby("SOURCE_NUMBER")["SKYBOT_NUMBER"].first()
    assert pd.isna(numbers[1])
    assert numbers[2] == "433"


# ---- who is who --------------------------------------------------------------------------------------------


def test_motion_tells_two_objects_that_cross():
    """At mid-time all four are at the same place: positions alone cannot tell them apart."""
    known = predictions([("A", -6, 0, 12, 0), ("B", 6, 1, -12, -2)])
    found = match(tracks([(1, 6.4, 1, -12, -2), (2, -6.4, 0, 12, 0)]), known)
    assert names(found) == {1: "B", 2: "A"}
    assert set(states(found).values()) == {"matched"}
    nearby = found.groupby("SOURCE_NUMBER")["KNOWN_NEARBY"].first()
    assert nearby[1].startswith("A ")  # the collision is told
    assert nearby[2].startswith("100002 B ")


def test_an_unknown_object_that_passes_a_known_one_is_not_that():
    known = predictions([("A", 0, 0, -30, 5)])
    found = match(tracks([(1, -5, 4, -15, 12)]), known)  # within 10" for half an hour
    assert states(found) == {1: "unknown"}
    assert found["KNOWN_NEARBY"].iloc[0].startswith("A ")


def test_an_object_at_rest_is_not_a_fast_one_met_once():
    known = predictions([("fast", -1000, 0, 2000, 0)])
    assert states(match(tracks([(1, 0, 3, 0.5, 0)]), known)) == {1: "unknown"}


def test_near_in_fewer_than_half_of_the_exposures_is_not_enough():
    known = predictions([("A", 0, 0, -30, 5)])
    drifting = tracks([(1, 0, 0, -27.5, 5)])  # 0, 0.6, 1.3, 1.9, 2.5 arcsec away
    assert states(match(drifting, known, 1.0)) == {1: "unknown"}
    assert states(match(drifting, known, 1.4)) == {1: "matched"}


def test_predicted_in_fewer_than_half_of_the_exposures_is_not_enough():
    known = predictions([("A", 0, 0, -30, 5)])
    detections = tracks([(1, 1, 1, -30, 5)])
    assert states(match(detections, known[known["CATALOG_NUMBER"] <= 2])) == {1: "unknown"}
    assert states(match(detections, known[known["CATALOG_NUMBER"] <= 3])) == {1: "matched"}


def test_one_source_per_object_and_exposure():
    known = predictions([("A", 0, 0, -30, 5)])
    found = match(tracks([(1, 3, 0, -30, 5), (2, 1, 0, -30, 5), (3, -6, 0, -30, 5)]), known)
    assert names(found) == {1: "", 2: "A", 3: ""}
    assert states(found) == {1: "unknown", 2: "matched", 3: "unknown"}
    assert found[found["SOURCE_NUMBER"] == 1]["KNOWN_NEARBY"].iloc[0] == 'A 3.0"'


def test_pieces_of_a_track_share_their_object():
    known = predictions([("A", 0, 0, -30, 5)])
    pieces = pd.concat(
        [
            tracks([(1, 0.3, 0, -30, 5)], hours=HOURS[:3]),
            tracks([(2, -0.3, 0, -30, 5)], hours=HOURS[3:]),
        ],
        ignore_index=True,
    )
    assert states(match(pieces, known)) == {1: "matched", 2: "matched"}


def test_an_uncertain_object_is_possible_at_most():
    detections = tracks([(1, 8, 0, -30, 5)])
    assert states(match(detections, predictions([("A", 0, 0, -30, 5, 59.0)]))) == {1: "matched"}
    found = match(detections, predictions([("A", 0, 0, -30, 5, 61.0)]))
    assert states(found) == {1: "possible"}
    assert names(found) == {1: "A"}
    assert not found["MATCHED"].any()


def test_an_uncertain_object_is_looked_for_beyond_the_radius():
    detections = tracks([(1, 0, 55.0, -30, 5), (2, 0, -30.0, 10, 5)])
    found = match(detections, predictions([("A", 0, 0, -30, 5, 20.0)]))
    assert states(found) == {1: "possible", 2: "unknown"}  # within 3 sigma; 2 moves otherwise
    found = match(detections, predictions([("A", 0, 0, -30, 5, 15.0)]))
    assert states(found) == {1: "unknown", 2: "unknown"}


def test_the_certain_object_goes_before_the_uncertain_one():
    known = predictions([("vague", 0.0, 0, -30, 5, 100.0), ("sharp", 4.0, 0, -30, 5, 0.1)])
    found = match(tracks([(1, 0.5, 0, -30, 5)]), known)
    assert names(found) == {1: "sharp"}
    assert states(found) == {1: "matched"}


def test_a_single_shared_exposure_is_judged_by_the_rates():
    known = predictions([("A", 0, 0, -30, 5)], hours=HOURS[:1])
    for pm_ra, state in [(-31.0, "matched"), (20.0, "unknown"), (math.nan, "matched")]:
        detections = tracks([(1, 1, 1, -30, 5)], hours=HOURS[:1]).assign(PMRA=pm_ra)
        assert states(match(detections, known)) == {1: state}, pm_ra


def test_one_bad_detection_does_not_lose_the_object():
    detections = tracks([(1, 0, 0, -30, 5)])
    detections.loc[4, "DEC"] += 7.0 / 3600.0
    assert states(match(detections, predictions([("A", 0, 0, -30, 5)]))) == {1: "matched"}


# ---- twins and properties ----------------------------------------------------------------------------------

places = st.tuples(
    st.sampled_from([0.0, 1e-4, 359.9999, 97.3, 180.0]) | st.floats(0.0, 359.999),
    st.sampled_from([90.0, -90.0, 89.9995, -89.999, 1.5708, 29.845, 0.0]) | st.floats(-90.0, 90.0),
)


def great_circle_arcsec(ra1, dec1, ra2, dec2):
    """Vincenty's formula for the sphere: another one than the project's."""
    ra1, dec1, ra2, dec2 = map(math.radians, (ra1, dec1, ra2, dec2))
    a = math.cos(dec2) * math.sin(ra2 - ra1)
    b = math.cos(dec1) * math.sin(dec2) - math.sin(dec1) * math.cos(dec2) * math.cos(ra2 - ra1)
    c = math.sin(dec1) * math.sin(dec2) + math.cos(dec1) * math.cos(dec2) * math.cos(ra2 - ra1)
    return math.degrees(math.atan2(math.hypot(a, b), c)) * 3600.0


@settings(max_examples=60, deadline=None)
@given(place=places, seed=st.integers(0, 2**32 - 1), radius=st.floats(0.5, 60.0))
def test_encounters_are_those_of_a_double_loop(place, seed, radius):
    rng = np.random.default_rng(seed)

    def scattered(n):
        return moved(np.full(n, place[0]), np.full(n, place[1]), *rng.normal(0.0, 40.0, (2, n)))

    n, m = 25, 15
    ra, dec = scattered(n)
    known_ra, known_dec = scattered(m)
    exposure, known_exposure = rng.integers(1, 4, n), rng.integers(1, 4, m)
    error = np.where(rng.random(m) < 0.3, 30.0, 0.1)
    zeros = np.zeros(n)
    observed = Observed(
        source=np.arange(n),
        exposure=exposure,
        ra=ra,
        dec=dec,
        hours=zeros,
        pm_ra=zeros,
        pm_dec=zeros,
        checked=zeros == 0.0,
    )
    predicted = Predicted(
        object=np.arange(m),
        exposure=known_exposure,
        ra=known_ra,
        dec=known_dec,
        pm_ra=np.zeros(m),
        pm_dec=np.zeros(m),
        error=error,
    )
    near = encounters(observed, predicted, radius)
    pairs = set(zip(near.detection.tolist(), near.prediction.tolist(), strict=True))
    assert len(pairs) == near.detection.size
    for d in range(n):
        for k in range(m):
            away = great_circle_arcsec(ra[d], dec[d], known_ra[k], known_dec[k])
            reach = max(radius, 3.0 * error[k])
            if abs(away - reach) > 1e-5:
                expected = bool(exposure[d] == known_exposure[k]) and away < reach
                assert ((d, k) in pairs) == expected
    for d, k, away in zip(near.detection, near.prediction, near.separation, strict=True):
        assert away == pytest.approx(great_circle_arcsec(ra[d], dec[d], known_ra[k], known_dec[k]), abs=1e-5)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_assignment_is_that_of_a_loop_from_best_to_worst(data):
    n = data.draw(st.integers(0, 14))
    couples = data.draw(
        st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=n, max_size=n, unique=True)
    )
    scores = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    certain = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    compatible = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    exposures = data.draw(
        st.lists(st.sets(st.integers(0, 2), min_size=1), min_size=n, max_size=n)
    )  # of each pair
    shared = [(i, 3 * couples[i][1] + e) for i in range(n) for e in sorted(exposures[i])]
    pairs = Pairs(
        source=np.array([s for s, _ in couples], dtype=np.intp),
        object=np.array([o for _, o in couples], dtype=np.intp),
        certain=np.array(certain, dtype=bool),
        compatible=np.array(compatible, dtype=bool),
        score=np.array(scores, dtype=float),
        shared_pair=np.array([i for i, _ in shared], dtype=np.intp),
        shared_prediction=np.array([p for _, p in shared], dtype=np.intp),
    )
    expected, sources, slots = [], set(), set()
    for i in sorted(range(n), key=lambda i: (not certain[i], scores[i], *couples[i])):
        wanted = {p for j, p in shared if j == i}
        if compatible[i] and couples[i][0] not in sources and not wanted & slots:
            expected.append(i)
            sources.add(couples[i][0])
            slots |= wanted
    assert assign(pairs).tolist() == sorted(expected)


@settings(max_examples=40, deadline=None)
@given(place=places, seed=st.integers(0, 2**32 - 1))
def test_planted_objects_are_named_anywhere_on_the_sky(place, seed):
    ra, dec = place
    rng = np.random.default_rng(seed)
    grid = [(200.0 * i, 200.0 * j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    motions = rng.uniform(-40.0, 40.0, (len(grid), 2))
    known = [(f"K{i}", *xy, *pm) for i, (xy, pm) in enumerate(zip(grid, motions, strict=True)) if i % 3]
    found_tracks = [
        (i, x + 1.0, y - 2.0, *pm) for i, ((x, y), pm) in enumerate(zip(grid, motions, strict=True))
    ]
    detections = tracks(found_tracks, ra=ra, dec=dec)
    noise = rng.normal(0.0, 0.2, (2, len(detections)))
    detections["RA"], detections["DEC"] = moved(
        detections["RA"].to_numpy(), detections["DEC"].to_numpy(), *noise
    )
    order = rng.permutation(len(detections))
    table = predictions(known, ra=ra, dec=dec)
    found = match(detections, table)
    assert names(found) == {i: (f"K{i}" if i % 3 else "") for i in range(len(grid))}
    if abs(dec) < 89.0:  # at the pole itself, east is another direction a few arcsec on
        matched = found[found["MATCHED"]]
        assert matched["SKYBOT_DELTARA"].mean() == pytest.approx(1.0, abs=0.4)
        assert matched["SKYBOT_DELTADEC"].mean() == pytest.approx(-2.0, abs=0.4)
    shuffled = match(detections.iloc[order], table.iloc[rng.permutation(len(table))])
    pd.testing.assert_frame_equal(shuffled.sort_index(), found)


@pytest.mark.shared
def test_simulated_night_all_known_named_and_no_unknown(shared_data):
    known = pd.read_csv(shared_data / "sim2" / "known.csv")
    truth = pd.read_csv(shared_data / "sim2" / "truth.csv")
    rng = np.random.default_rng(5)
    for field in ("F01", "F02"):
        here, objects = truth[truth["field"] == field], known[known["field"] == field]
        number = {name: i for i, name in enumerate(sorted(here["image"].unique()), start=1)}
        ra, dec = moved(here["ra"].to_numpy(), here["dec"].to_numpy(), *rng.normal(0.0, 0.2, (2, len(here))))
        angle = np.radians(here["pa"])
        detections = pd.DataFrame(
            {
                "SOURCE_NUMBER": here["id"].str[1:].astype(int),
                "CATALOG_NUMBER": here["image"].map(number),
                "RA": ra,
                "DEC": dec,
                "MID_EXPOSURE_MJD": here["mjd_mid"],
                "PMRA": here["rate"] * np.sin(angle),
                "PMDEC": here["rate"] * np.cos(angle),
            }
        )
        table = known_table(
            {
                "CATALOG_NUMBER": objects["image"].map(number),
                "NUMBER": objects["number"],
                "NAME": objects["name"],
                "MAG": objects["Mv"],
                "RA": objects["ra"],
                "DEC": objects["dec"],
                "PMRA": objects["dra"],
                "PMDEC": objects["ddec"],
                "ERR": objects["unc"],
                "SOURCE": "SKYBOT",
            }
        )
        found = match(detections, table)
        right = objects.drop_duplicates("id").set_index("id")["name"]
        expected = {int(i[1:]): right.get(i, "") for i in here["id"].unique()}
        assert names(found) == expected
        away = found[~found["MATCHED"] & found["SKYBOT_NAME"].notna()]
        assert (np.hypot(away["SKYBOT_DELTARA"], away["SKYBOT_DELTADEC"]) > RADIUS).all()


# ---- the console's histogram -------------------------------------------------------------------------------


def test_histogram_counts_each_object_once_and_tells_the_found():
    known = predictions([(f"K{i}", 300 * i, 0, -30, 5) for i in range(5)])  # V 18 to 22
    assert magnitude_histogram(known).splitlines()[0] == "5 known objects in the field"
    found = match(tracks([(1, 0, 0, -30, 5), (2, 900, 0, -30, 5)]), known)
    lines = magnitude_histogram(known, found).splitlines()
    assert lines[1] == "  V 18-19    1 of    1 #"
    assert lines[2] == "  V 19-20    0 of    1 ."
    assert lines[4] == "  V 21-22    1 of    1 #"
    assert len(lines) == 6


def test_histogram_of_two_rows_of_none_and_of_many():
    """Two objects were enough to stop the seed."""
    two = predictions([("A", 0, 0, 1, 1), ("B", 300, 0, 1, 1)], hours=HOURS[:1])
    assert len(two) == 2
    assert len(magnitude_histogram(two).splitlines()) == 3
    assert magnitude_histogram(known_table({})) == "no known objects in the field"
    many = known_table(
        {"CATALOG_NUMBER": [1] * 500, "NAME": [f"A{i}" for i in range(500)], "MAG": [20.5] * 500}
    )
    assert max(map(len, magnitude_histogram(many).splitlines())) <= 80
    unknown = known_table({"CATALOG_NUMBER": [1], "NAME": ["A"], "MAG": [np.nan]})
    assert "unknown" in magnitude_histogram(unknown)
