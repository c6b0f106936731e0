"""What other tools read: VOTable and FITS by astropy and STIL, regions by DS9."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.io.votable import from_table, parse
from astropy.io.votable.ucd import parse_ucd
from astropy.table import Table
from astropy.units import UnitsWarning

from ssosd.reports.columns import CANDIDATE_COLUMNS
from ssosd.reports.regions import regions_text
from ssosd.reports.ucds import UCDS
from ssosd.reports.votable import binary2, detections_table, fits_bytes, votable_bytes

KINDS = {
    "int": np.arange(3),
    "float": [1.5, np.nan, -2e-9],
    "str": ["a", "", "é{}"],
    "bool": [True, False, True],
}
FULL = pd.DataFrame({column.name: KINDS[column.kind] for column in CANDIDATE_COLUMNS})


def test_each_column_has_a_ucd_of_the_controlled_vocabulary() -> None:
    assert set(UCDS) == {column.name for column in CANDIDATE_COLUMNS}
    for ucd in UCDS.values():
        parse_ucd(ucd, check_controlled_vocabulary=True)


@pytest.mark.parametrize(
    "candidates", [FULL, FULL.iloc[:0], pd.DataFrame()], ids=["full", "no rows", "nothing"]
)
def test_tables_come_back_as_they_were(candidates: pd.DataFrame, tmp_path: Path) -> None:
    table = detections_table(candidates)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = votable_bytes(table, night="2026-11-14")
        read = parse(io.BytesIO(data), verify="exception").get_first_table()
        back = {
            "vot": read.to_table(),
            "fits": Table.read(io.BytesIO(fits_bytes(table, night="2026-11-14")), hdu=1),
        }
    assert data == votable_bytes(detections_table(candidates), night="2026-11-14")
    assert {field.name: field.ucd for field in read.fields} == {name: UCDS[name] for name in table.colnames}
    for found in back.values():
        assert found.colnames == table.colnames
        assert len(found) == len(candidates)
        assert str(found["PM"].unit) == "arcsec / h"
        for column in CANDIDATE_COLUMNS if len(candidates) else ():
            if column.kind == "str":
                assert list(np.ma.filled(found[column.name], "")) == ["a", "", "?{}"]
            else:
                values = np.ma.filled(np.ma.asarray(found[column.name], dtype=float), np.nan)
                np.testing.assert_array_equal(values, candidates[column.name])
    header = fits.getheader(io.BytesIO(fits_bytes(table, night="2026-11-14")), 1)
    assert header[f"TUCD{table.colnames.index('RA') + 1}"] == "pos.eq.ra;meta.main"


def test_the_votable_s_rows_are_those_that_astropy_writes() -> None:
    table = detections_table(FULL)
    votable = from_table(table)
    votable.set_all_tables_format("binary2")
    for field in votable.get_first_table().fields:
        if field.datatype == "bit":
            field.datatype = "boolean"
    file = io.BytesIO()
    votable.to_xml(file)
    stream = re.search(rb"<STREAM[^>]*>([^<]*)</STREAM>", file.getvalue())
    assert stream is not None
    assert base64.b64decode(stream[1]) == binary2(table)


def test_the_fits_table_is_the_one_that_astropy_writes() -> None:
    table = detections_table(FULL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)
        fits.table_to_hdu(table).writeto(theirs := io.BytesIO())
    theirs.seek(0)
    ours = io.BytesIO(fits_bytes(table, night="2026-11-14"))
    with fits.open(theirs) as wanted, fits.open(ours) as written:
        written.verify("exception")
        assert dict(written[0].header) == dict(wanted[0].header)
        assert written[1].data.tobytes() == wanted[1].data.tobytes()
        cards = {key: value for key, value in wanted[1].header.items() if key != "NAME"}
        assert len(cards) > 200
        assert {key: written[1].header[key] for key in cards} == cards
        assert (written[1].header["EXTNAME"], written[1].header["NIGHT"]) == ("CANDIDATES", "2026-11-14")


def test_a_truth_that_nobody_knows_is_null() -> None:
    table = detections_table(FULL.assign(MATCHED=[None, True, False]))
    with fits.open(io.BytesIO(fits_bytes(table, night="2026-11-14")), logical_as_bytes=True) as written:
        assert written[1].data["MATCHED"].tolist() == [b"", b"T", b"F"]


@pytest.mark.skipif(shutil.which("topcat") is None, reason="no STIL: apt-get install topcat")
def test_stil_has_nothing_to_say_against_the_votable(tmp_path: Path) -> None:
    path = tmp_path / "candidates.vot"
    path.write_bytes(votable_bytes(detections_table(FULL), night="2026-11-14"))
    command = ["topcat", "-stilts", "votlint", "ucd=true", "unit=true", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    said = [
        line for line in (ran.stdout + ran.stderr).splitlines() if re.match(r"(WARNING|ERROR|INFO \()", line)
    ]
    assert (ran.returncode, said) == (0, [])
    command = ["topcat", "-stilts", "tpipe", f"in={path}", 'cmd=keepcols "MATCHED RA"', "ofmt=csv"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.stdout.splitlines() == ["MATCHED,RA", "true,1.5", "false,", "true,-2.0E-9"]


def regions() -> str:
    place = pd.DataFrame({"RA": [150.01, 150.02], "DEC": [20.01, 19.99]})
    return regions_text(
        name="a.fits\nglobal color=red",
        candidates=place.assign(
            CANDIDATE=["F-2", "F-1"], MATCH_STATE=["unknown", "matched"], SKYBOT_NAME=["", "Ceres"]
        ),
        known=place.assign(NAME="Ceres", NUMBER="1", MAG=[9.04, np.nan], ERR=[np.nan, 5.0]),
        rejected=place.assign(FILTER="FILTER_PM", SOURCE_NUMBER=[1, 2], STEP=1),
    )


def test_regions_say_who_is_who() -> None:
    lines = regions().splitlines()
    assert lines[1] == "# a.fits_global color=red"
    assert sum("tag={candidate}" in line for line in lines) == 2
    assert (
        'circle(150.0200000,19.9900000,8.0") # color=green width=2 text={F-1 Ceres} tag={candidate}' in lines
    )
    assert (
        'box(150.0200000,19.9900000,30.0",30.0",0) # color=cyan width=1 text={1 Ceres} tag={known}' in lines
    )
    assert sum("text={FILTER_PM} tag={rejected}" in line for line in lines) == 2


@pytest.mark.skipif(
    not (shutil.which("ds9") and shutil.which("xvfb-run")), reason="apt-get install saods9 xvfb"
)
def test_regions_open_in_ds9(tmp_path: Path) -> None:
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 20.0})
    header.update(
        {"CRPIX1": 100, "CRPIX2": 100, "CD1_1": -1 / 3600, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1 / 3600}
    )
    header["RADESYS"] = "ICRS"
    fits.PrimaryHDU(np.zeros((200, 200), dtype=np.float32), header).writeto(tmp_path / "a.fits")
    (tmp_path / "a.reg").write_text(regions())
    command = ["xvfb-run", "-a", "ds9", "a.fits", "-regions", "load", "a.reg", "-regions", "system", "image"]
    command += ["-regions", "save", "back.reg", "-exit"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    back = (tmp_path / "back.reg").read_text()
    assert len(re.findall(r"^circle\(", back, re.MULTILINE)) == 4
    assert len(re.findall(r"^box\(", back, re.MULTILINE)) == 2
    assert "text={F-1 Ceres}" in back
    x, y = map(float, re.search(r"circle\(([\d.]+),([\d.]+),8\S*\).*F-1 Ceres", back).groups())
    assert (x, y) == pytest.approx((100 - 0.02 * 3600 * np.cos(np.radians(20.0)), 100 - 36), abs=0.2)
