"""The CSV of candidates, their identifiers and the funnel."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from ssosd.analysis.photometry.calibrate import NEW_COLUMNS
from ssosd.astromatic_setup import read_columns
from ssosd.errors import BadInput, Misconfigured
from ssosd.identify.match import MATCH_COLUMNS
from ssosd.identify.triage import NEO_SCORE
from ssosd.linker.merge import JUDGED
from ssosd.linker.scamp import fullcat
from ssosd.linker.tracklets.plane import ERR_POSITION
from ssosd.plumbing.resources import shipped
from ssosd.reports.columns import CANDIDATE_COLUMNS, COLUMN_ORDER, columns_markdown
from ssosd.reports.tables import (
    candidate_ids,
    funnel_text,
    read_candidates_csv,
    render_funnel,
    write_candidates_csv,
)

DOCS = Path(__file__).resolve().parents[1] / "docs"


def table(n: int = 6, *, seed: int = 1) -> pd.DataFrame:
    """A table with every documented column, three detections a source, two fields."""
    rng = np.random.default_rng(seed)
    columns: dict[str, object] = {}
    for column in CANDIDATE_COLUMNS:
        if column.kind == "int":
            columns[column.name] = rng.integers(0, 9, n)
        elif column.kind == "float":
            columns[column.name] = rng.normal(0.0, 1e3, n)
        elif column.kind == "bool":
            columns[column.name] = rng.integers(0, 2, n).astype(bool)
        else:
            columns[column.name] = [f"{column.name} {i}" for i in range(n)]
    columns["FIELD"] = [f"F{i % 2:02d}" for i in range(n)]
    columns["SOURCE_NUMBER"] = np.arange(n) // 3
    frame = pd.DataFrame(columns)
    frame["CANDIDATE"] = candidate_ids(frame)
    return frame


def header(path: Path) -> list[str]:
    return path.read_text().splitlines()[0].split(",")


# -- CSV -----------------------------------------------------------------------------------------------------


def test_columns_stand_in_the_seeds_order_then_ours_then_others(tmp_path: Path) -> None:
    frame = table().assign(ZZ=1.0, ABC="x")
    write_candidates_csv(tmp_path / "c.csv", frame[sorted(frame.columns)])
    assert header(tmp_path / "c.csv") == [*COLUMN_ORDER, "ABC", "ZZ"]
    seed = [
        "SOURCE_NUMBER", "CATALOG_NUMBER", "RA", "DEC", "EPOCH", "MAG", "MAGERR", "FLUX", "FLUXERR", "PM",
        "PMERR", "PMRA", "PMRA_ERR", "PMDEC", "PMDEC_ERR", "MID_EXPOSURE_MJD", "DATE-OBS", "EXPTIME", "OBJECT",
        "FILTER", "RA_IMAGE", "DEC_IMAGE", "IMAGE_FILENAME", "EXTENSION", "XWIN_IMAGE",
    ]  # fmt: skip
    assert list(COLUMN_ORDER[: len(seed)]) == seed
    assert COLUMN_ORDER.index("FLAGS_SSOS") < COLUMN_ORDER.index("MATCHED") < COLUMN_ORDER.index("FIELD")


def test_a_table_reads_back_as_it_was(tmp_path: Path) -> None:
    frame = table()
    write_candidates_csv(tmp_path / "c.csv", frame)
    back = read_candidates_csv(tmp_path / "c.csv")
    expected = frame.sort_values(
        ["FIELD", "CANDIDATE", "SOURCE_NUMBER", "MID_EXPOSURE_MJD"], ignore_index=True
    )
    pd.testing.assert_frame_equal(back, expected, check_exact=True)


def test_the_same_rows_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    frame = table(60)
    write_candidates_csv(tmp_path / "a.csv", frame)
    shuffled = frame.sample(frac=1.0, random_state=2)[list(reversed(frame.columns))]
    write_candidates_csv(tmp_path / "b.csv", shuffled)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    write_candidates_csv(tmp_path / "c.csv", read_candidates_csv(tmp_path / "a.csv"))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "c.csv").read_bytes()


def test_seed_fault_a_night_without_candidates_has_its_line_of_names(tmp_path: Path) -> None:
    write_candidates_csv(tmp_path / "c.csv", pd.DataFrame())
    assert header(tmp_path / "c.csv") == [c.name for c in CANDIDATE_COLUMNS if c.always]
    back = read_candidates_csv(tmp_path / "c.csv")
    assert len(back) == 0
    assert back["MATCHED"].dtype == bool
    assert back["RA"].dtype == np.float64
    assert back["SOURCE_NUMBER"].dtype == np.int64
    joined = pd.concat([back, table()], ignore_index=True)
    assert joined["SOURCE_NUMBER"].dtype == np.int64
    write_candidates_csv(tmp_path / "d.csv", table().iloc[:0])
    assert header(tmp_path / "d.csv") == list(COLUMN_ORDER)


def test_columns_that_were_not_made_are_not_written(tmp_path: Path) -> None:
    write_candidates_csv(tmp_path / "c.csv", table().drop(columns=["MAG_CALIB", "SKYBOT_MAG"]))
    assert "MAG_CALIB" not in header(tmp_path / "c.csv")
    assert "SKYBOT_MAG" not in header(tmp_path / "c.csv")


def test_unchecked_stays_neither_true_nor_false(tmp_path: Path) -> None:
    frame = table(3).assign(MATCHED=pd.array([True, None, False], dtype="boolean"))
    frame["SKYBOT_NAME"] = ["Ceres", None, np.nan]
    write_candidates_csv(tmp_path / "c.csv", frame)
    back = read_candidates_csv(tmp_path / "c.csv").sort_values("IMAGE_FILENAME")
    assert back["MATCHED"].tolist() == [True, pd.NA, False]
    assert back["SKYBOT_NAME"].tolist() == ["Ceres", "", ""]
    empty = back.iloc[:0]
    write_candidates_csv(tmp_path / "d.csv", empty)
    assert len(read_candidates_csv(tmp_path / "d.csv")) == 0


def test_names_that_look_like_numbers_or_nothing_stay_names(tmp_path: Path) -> None:
    frame = table(6)
    names = ["0012", "NA", "nan", "1e5", 'a, "b"', "None"]
    for column in ("OBJECT", "IMAGE_FILENAME", "SKYBOT_NUMBER", "SKYBOT_NAME"):
        frame[column] = names
    frame["FIELD"] = "0042"
    write_candidates_csv(tmp_path / "c.csv", frame)
    back = read_candidates_csv(tmp_path / "c.csv")
    for column in ("OBJECT", "IMAGE_FILENAME", "SKYBOT_NUMBER", "SKYBOT_NAME"):
        assert sorted(back[column]) == sorted(names)
    assert set(back["FIELD"]) == {"0042"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(allow_nan=True, allow_infinity=True),
            st.text(
                st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f\x85"),
                max_size=12,
            ),
            st.integers(-(2**62), 2**62),
            st.booleans(),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_values_come_back_to_the_last_bit(
    tmp_path: Path, rows: list[tuple[float, str, int, bool]]
) -> None:
    frame = pd.DataFrame(
        {
            "CATALOG_NUMBER": range(len(rows)),
            "RA": [r[0] for r in rows],
            "OBJECT": pd.Series([r[1] for r in rows], dtype="str"),
            "FLAGS_SSOS": [r[2] for r in rows],
            "MATCHED": [r[3] for r in rows],
        }
    )
    write_candidates_csv(tmp_path / "c.csv", frame)
    back = read_candidates_csv(tmp_path / "c.csv")
    pd.testing.assert_frame_equal(back, frame, check_exact=True)
    assert (
        np.array_equal(back["RA"].to_numpy().view(np.int64), frame["RA"].to_numpy().view(np.int64))
        or np.isnan(frame["RA"]).any()
    )


def test_short_floats_keep_their_short_digits(tmp_path: Path) -> None:
    frame = table(3).assign(MAG=np.array([17.9123, 0.1, -1e-7], dtype=np.float32))
    write_candidates_csv(tmp_path / "c.csv", frame)
    back = read_candidates_csv(tmp_path / "c.csv")
    assert sorted(back["MAG"]) == [-1e-7, 0.1, 17.9123]


def test_writing_is_atomic_and_makes_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a night" / "candidates.csv"
    write_candidates_csv(path, table())
    before = path.read_bytes()

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(Misconfigured, match="candidates"):
        write_candidates_csv(path, table(30))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["candidates.csv"]


@pytest.mark.parametrize(
    "content", [None, b"", b"\xff\xfe\x00", b"a,b\n1,2\n3,4,5\n", b"MATCHED,RA\nTrue,north\n"]
)
def test_what_is_no_table_is_bad_input(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "c.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=re.escape(str(path))):
        read_candidates_csv(path)


# -- identifiers ---------------------------------------------------------------------------------------------


def tracks(fields: list[str], per_field: int = 5, n: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    rows = [
        {
            "FIELD": field,
            "SOURCE_NUMBER": int(number),
            "MID_EXPOSURE_MJD": 61358.8 + 0.01 * visit,
            "RA": 10.0 + rng.normal() * 0.1,
            "DEC": 5.0 + rng.normal() * 0.1,
        }
        for field in fields
        for number in rng.permutation(1000)[:per_field]
        for visit in range(n)
    ]
    return pd.DataFrame(rows)


def test_identifiers_are_one_per_source_and_unique() -> None:
    rows = tracks(["F01", "F02", "F01-0001", "M 31"])
    ids = candidate_ids(rows)
    assert ids.name == "CANDIDATE"
    assert ids.index.equals(rows.index)
    assert ids.nunique() == 20
    assert (ids.groupby([rows["FIELD"], rows["SOURCE_NUMBER"]]).nunique() == 1).all()
    assert sorted(ids[rows["FIELD"] == "F02"].unique()) == [f"F02-000{i}" for i in range(1, 6)]


@given(st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_identifiers_do_not_depend_on_the_order_of_rows_or_other_fields(random: object) -> None:
    rows = tracks(["F01", "F02"])
    ids = candidate_ids(rows)
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = rows.iloc[order]
    assert candidate_ids(shuffled).sort_index().equals(ids)
    alone = candidate_ids(rows[rows["FIELD"] == "F02"])
    assert alone.equals(ids[rows["FIELD"] == "F02"])


def test_identifiers_do_not_depend_on_the_numbers_scamp_gave() -> None:
    rows = tracks(["F01"])
    renumbered = rows.assign(SOURCE_NUMBER=1000 - rows["SOURCE_NUMBER"])
    assert candidate_ids(renumbered).equals(candidate_ids(rows))


def test_sources_that_share_their_first_detection_are_told_apart() -> None:
    rows = pd.DataFrame(
        {
            "FIELD": "A",
            "SOURCE_NUMBER": [9, 9, 4, 4],
            "MID_EXPOSURE_MJD": [1.0, 2.0, 1.0, 2.0],
            "RA": [10.0, 10.1, 10.0, 10.2],
            "DEC": [0.0, 0.0, 0.0, 0.0],
        }
    )
    assert candidate_ids(rows).tolist() == ["A-0001", "A-0001", "A-0002", "A-0002"]
    swapped = rows.assign(SOURCE_NUMBER=[4, 4, 9, 9])
    assert candidate_ids(swapped).tolist() == ["A-0001", "A-0001", "A-0002", "A-0002"]


def test_no_rows_have_no_identifiers() -> None:
    empty = tracks(["A"]).iloc[:0]
    assert len(candidate_ids(empty)) == 0
    assert len(empty.assign(CANDIDATE=candidate_ids(empty))) == 0


def test_more_than_9999_sources_stay_unique() -> None:
    n = 10_050
    rows = pd.DataFrame(
        {
            "FIELD": "A",
            "SOURCE_NUMBER": range(n),
            "MID_EXPOSURE_MJD": 1.0,
            "RA": np.arange(n) / 100,
            "DEC": 0.0,
        }
    )
    ids = candidate_ids(rows)
    assert ids.is_unique
    assert ids.iloc[-1] == "A-10050"


# -- the page ------------------------------------------------------------------------------------------------


def test_every_column_is_documented_as_the_table_says() -> None:
    page = (DOCS / "output.md").read_text()
    assert columns_markdown() in page, (
        "run `python -m ssosd.reports.columns` and put its output into docs/output.md"
    )
    assert len(set(COLUMN_ORDER)) == len(COLUMN_ORDER)
    for column in CANDIDATE_COLUMNS:
        assert column.meaning.endswith(".")
        assert "|" not in column.meaning


def test_every_column_that_a_stage_makes_is_documented() -> None:
    measured = {fullcat._RENAMED.get(name, name) for name in read_columns(shipped("semp/ssos.param"))}
    linker = {"LINKED_BY", *JUDGED, NEO_SCORE, "EXTENDED"}
    made = {
        *fullcat._FIRST,
        *MATCH_COLUMNS,
        *NEW_COLUMNS,
        *measured,
        *linker,
        ERR_POSITION,
        "FIELD",
        "CANDIDATE",
    }
    assert not made - set(COLUMN_ORDER)
    always = {c.name for c in CANDIDATE_COLUMNS if c.always}
    assert always <= {*fullcat._FIRST, *MATCH_COLUMNS, *NEW_COLUMNS, *linker, "FIELD", "CANDIDATE"}


# -- the funnel ----------------------------------------------------------------------------------------------

FUNNELS = {
    "F01": [("All Sources", 2100), ("FILTER_DETEC", 300), ("FILTER_PM", 12)],
    "F02": [("All Sources", 7), ("FILTER_PM", 0)],
}


def test_funnel_as_text() -> None:
    assert funnel_text(FUNNELS).splitlines() == [
        "filter         F01  F02",
        "All Sources   2100    7",
        "FILTER_DETEC   300",
        "FILTER_PM       12    0",
    ]
    assert funnel_text({}) == "filter"


def test_funnel_on_the_console() -> None:
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    console.print(render_funnel(FUNNELS))
    lines = [re.sub(r"[^\w ]+", " ", x).split() for x in console.export_text().splitlines()]
    assert ["FILTER_PM", "12", "0"] in lines
    assert ["FILTER_DETEC", "300"] in lines
    assert ["filter", "F01", "F02"] in lines
