"""Two linkers, one table, each object once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssosd.linker.errors import with_position_errors
from ssosd.linker.merge import Merged, merge_candidates, sources_of_both, without_refused
from ssosd.linker.tracklets.link import MAX_CHANCE, link_tracklets
from ssosd.linker.tracklets.sources import CHANCE, REST, UNSTEADY, judge_sources
from ssosd.sphere import separation_arcsec
from tests.tracklets_sky import Mover, Night


def table(*sources, linked_by):
    """Rows of sources, each a list of detection numbers; the exposure is the number modulo 10."""
    return pd.DataFrame(
        [
            {
                "SOURCE_NUMBER": number,
                "CATALOG_NUMBER": detection % 10,
                "EXTENSION": 0,
                "NUMBER": detection,
                "LINKED_BY": linked_by,
            }
            for number, detections in sources
            for detection in detections
        ],
        columns=["SOURCE_NUMBER", "CATALOG_NUMBER", "EXTENSION", "NUMBER", "LINKED_BY"],
    )


def merged(scamp, tracks):
    both = [table(*scamp, linked_by="SCAMP"), table(*tracks, linked_by="TRACKLET")]
    return merge_candidates(pd.concat(both, ignore_index=True))


def who(result):
    first = result.detections.drop_duplicates("SOURCE_NUMBER")
    return dict(zip(first["SOURCE_NUMBER"], first["LINKED_BY"], strict=True))


def test_the_same_object_is_one_candidate():
    result = merged([(1, [11, 12, 13, 14])], [(9, [11, 12, 13, 14, 15])])
    assert who(result) == {9: "BOTH"}
    assert result.n_sources == 1
    (row,) = result.ledger.to_dict("records")
    assert (row["SOURCE_NUMBER"], row["FILTER"], row["MEASURED"], row["N_DETECTIONS"]) == (1, "LINKER", 4, 4)


def test_a_scamp_source_with_a_single_detection_of_another_object_gives_way():
    result = merged([(1, [11, 22, 33, 44])], [(9, [11, 12, 13, 14])])
    assert who(result) == {9: "TRACKLET"}
    assert result.ledger["SOURCE_NUMBER"].tolist() == [1]


def test_different_objects_stay():
    result = merged([(1, [11, 12, 13, 14])], [(9, [21, 22, 23, 24])])
    assert who(result) == {1: "SCAMP", 9: "TRACKLET"}
    assert result.ledger.empty


@pytest.mark.parametrize(("scamp", "tracks"), [([], []), ([(1, [1, 2, 3])], []), ([], [(1, [1, 2, 3])])])
def test_one_linker_alone_or_none(scamp, tracks):
    assert merged(scamp, tracks).n_sources == len(scamp) + len(tracks)


SOURCES = st.lists(st.lists(st.integers(1, 40), min_size=3, max_size=6, unique=True), max_size=6)


@given(scamp=SOURCES, tracks=SOURCES)
def test_no_detection_is_in_sources_of_both_linkers(scamp, tracks):
    taken: set[int] = set()
    own = []
    for detections in tracks:  # the tracklet linker gives a detection once
        free = [d for d in detections if d not in taken]
        taken |= set(free)
        own += [free] if free else []
    numbered = list(enumerate(scamp, start=1))
    result = merged(numbered, list(enumerate(own, start=100)))
    kept = result.detections
    assert {100 + i for i in range(len(own))} <= set(kept["SOURCE_NUMBER"])
    for number, detections in numbered:
        assert (number in set(kept["SOURCE_NUMBER"])) == (not taken & set(detections))
    assert set(result.ledger["SOURCE_NUMBER"]) == {n for n, d in numbered if taken & set(d)}


def test_numbers_of_the_second_linker_follow_those_of_the_first():
    night = Night(movers=[Mover(east=100.0, north=50.0, rate=40.0, pa=70.0)])
    detections = with_position_errors(night.table().assign(SOURCE_NUMBER=7))
    tracklets = link_tracklets(detections=detections, pm_low=0.0, pm_up=300.0, min_detections=4)
    assert len(tracklets.sources) == 1
    both = sources_of_both(scamp=detections, tracklets=tracklets)
    own = both[both["LINKED_BY"] == "TRACKLET"]
    assert set(own["SOURCE_NUMBER"]) == {8}
    assert own["SCORE"].nunique() == 1
    assert own["SCORE"].iloc[0] == tracklets.sources["SCORE"].iloc[0] > 1.0
    assert both.loc[both["LINKED_BY"] == "SCAMP", "SCORE"].isna().all()
    assert len(sources_of_both(scamp=None, tracklets=tracklets)) == len(own)


def test_what_scamp_alone_found_is_judged_as_a_tracklet_is():
    """A mover, a star, unrelated detections and a mover with a jump, all as if SCAMP had linked them."""
    night = Night(
        movers=[
            Mover(east=100.0, north=50.0, rate=40.0, pa=70.0),
            Mover(east=-150.0, north=80.0, rate=60.0, pa=10.0),
        ]
    )
    table = night.table()
    numbered = table.assign(SOURCE_NUMBER=0, NUMBER=table.groupby("CATALOG_NUMBER").cumcount())
    detections = with_position_errors(numbered)
    linked = link_tracklets(detections=detections, pm_low=0.0, pm_up=300.0, min_detections=4)
    movers = linked.detections
    a, b = (movers[movers["SOURCE_NUMBER"] == number] for number in (1, 2))
    star = detections[detections.groupby("CATALOG_NUMBER").cumcount() == 0]
    mixed = pd.concat([a.iloc[:3], b.iloc[3:]])
    sources = pd.concat(
        [part.assign(SOURCE_NUMBER=number) for number, part in ((5, a), (6, star), (9, mixed))],
        ignore_index=True,
    )
    verdicts = judge_sources(
        linked.pool, detections=detections, sources=sources, pm_low=0.0, pm_up=300.0, min_detections=4,
        max_chance=MAX_CHANCE,
    )  # fmt: skip
    assert dict(zip(verdicts["SOURCE_NUMBER"], verdicts["ACCEPTED"], strict=True)) == {
        5: True,
        6: False,
        9: False,
    }
    own = linked.sources.loc[linked.sources["SOURCE_NUMBER"] == 1, "SCORE"].iloc[0]
    assert verdicts["SCORE"].iloc[0] == pytest.approx(own, rel=1e-6)
    assert verdicts["REASON"].iloc[1] == REST
    assert verdicts["REASON"].iloc[2] in (REST, CHANCE, UNSTEADY)

    both = sources.assign(LINKED_BY="SCAMP", SCORE=float("nan"), N_CHANCE=float("nan"), CHI2_DOF=float("nan"))
    merged = Merged(detections=both, ledger=merge_candidates(both.iloc[:0]).ledger, n_sources=3)
    result = without_refused(merged, verdicts)
    assert set(result.detections["SOURCE_NUMBER"]) == {5}
    assert result.n_sources == 1
    assert result.detections["SCORE"].unique() == pytest.approx([own])
    assert result.ledger["SOURCE_NUMBER"].tolist() == [6, 9]
    assert set(result.ledger["FILTER"]) == {"LINKER"}


def test_a_cosmic_ray_beside_a_faint_star_is_no_later_place_of_it():
    """Seen in four exposures within three minutes; an hour later something 15 times as bright is 7" off."""
    rng = np.random.default_rng(7)
    faint = {
        k: pd.DataFrame({"x": 0.2 * rng.normal(), "y": 0.2 * rng.normal(), "snr": 6.0}, index=[0])
        for k in range(4)
    }
    cosmic = pd.DataFrame({"x": 7.0, "y": 0.0, "snr": 90.0}, index=[0])
    night = Night(hours=(0.0, 1 / 60, 2 / 60, 3 / 60, 1.0), stars=500, noise=20, extra={**faint, 4: cosmic})
    table = night.table()
    detections = with_position_errors(
        table.assign(SOURCE_NUMBER=0, NUMBER=table.groupby("CATALOG_NUMBER").cumcount())
    )
    linked = link_tracklets(detections=detections, pm_low=0.0, pm_up=300.0, min_detections=4)
    off = separation_arcsec(detections["RA"], detections["DEC"], night.ra, night.dec)
    theirs = np.where(detections["CATALOG_NUMBER"] == 5, 90.0, 6.0) == detections["SNR_WIN"]
    source = detections[(off < 9.0) & theirs].assign(SOURCE_NUMBER=1)
    assert source["CATALOG_NUMBER"].tolist() == [1, 2, 3, 4, 5]
    verdicts = judge_sources(
        linked.pool, detections=detections, sources=source, pm_low=0.0, pm_up=300.0, min_detections=4,
        max_chance=MAX_CHANCE,
    )  # fmt: skip
    assert not verdicts["ACCEPTED"].any()


def test_a_source_of_which_no_two_detections_are_alike_is_refused_not_fitted():
    """Two are a hundred times as bright as the other two: all four are far from the middle."""
    places = {
        k: pd.DataFrame({"x": 10.0 * k, "y": 0.0, "snr": 6.0 if k < 2 else 600.0}, index=[0])
        for k in range(4)
    }
    table = Night(hours=(0.0, 0.25, 0.5, 0.75), stars=300, noise=20, extra=places).table()
    detections = with_position_errors(
        table.assign(SOURCE_NUMBER=0, NUMBER=table.groupby("CATALOG_NUMBER").cumcount())
    )
    linked = link_tracklets(detections=detections, pm_low=0.0, pm_up=300.0, min_detections=4)
    source = detections[detections["SNR_WIN"].isin([6.0, 600.0])].assign(SOURCE_NUMBER=1)
    assert source["CATALOG_NUMBER"].tolist() == [1, 2, 3, 4]
    verdicts = judge_sources(
        linked.pool, detections=detections, sources=source, pm_low=0.0, pm_up=300.0, min_detections=4,
        max_chance=MAX_CHANCE,
    )  # fmt: skip
    assert verdicts["REASON"].tolist() == [REST]


def test_errors_are_those_that_the_stars_show():
    """Claimed errors that are too small are raised to what the stars' scatter is."""
    honest = Night(stars=2000).table()
    modest = honest.assign(ERRA_WORLD=honest["ERRA_WORLD"] / 1.6, ERRB_WORLD=honest["ERRB_WORLD"] / 1.6)
    right, raised = (with_position_errors(t)["ERR_POSITION"] for t in (honest, modest))
    faint = right > right.median()
    assert (raised[faint] / right[faint]).median() == pytest.approx(1.0, abs=0.1)


def test_a_row_without_a_position_has_the_largest_error():
    detections = Night().table()
    detections.loc[3, "RA"] = float("nan")
    assert with_position_errors(detections)["ERR_POSITION"].iloc[3] == 1.0
