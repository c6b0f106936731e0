"""Every parameter changes the outcome that it is meant to change.

One night is painted, and its catalogues are made once; each test links it again with one parameter changed and
looks at what that parameter is for. Tests of a parameter are named in `EFFECTS`; none may be forgotten.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from ssosd import astromatic, work
from ssosd.analysis.forced.trails import trail_rows
from ssosd.analysis.painter.night import PaintedNight, paint_night
from ssosd.config import PARAMETERS, load_config
from ssosd.config.tables import daemon, drafts, mail
from ssosd.errors import Retriable
from ssosd.filters.chain import ChainSettings, run_chain
from ssosd.linker.refcat import read_reference, write_reference
from ssosd.plumbing.resources import shipped
from ssosd.reports.recovered import read_recovered_csv
from ssosd.site import site_from_code
from ssosd.sphere import separation_arcsec
from ssosd.station import Station
from ssosd.store import STORE_NAME, Store
from ssosd.sun import sun_altitude_deg
from ssosd.work.brightness import SHAPE_FLAG
from ssosd.work.orbits import old_files, refresh
from tests.orbit_lines import comet_line, line, line_seen_at, orbit_seen_at, served
from tests.replaying import ONE_FIELD, QUICK, Outcome, run
from tests.sky import shared_sky, small_options
from tests.skybot_service import SkybotService, moved
from tests.vizier_service import VizierService

pytestmark = pytest.mark.binaries

#: Two filters in turn, two exposure times in turn.
TWO_FILTERS = {**ONE_FIELD, "filters": ("g", "r"), "exptimes_s": (120.0, 100.0)}
#: Whose parameters most of these are: the seed's linking and rules.
SEED = {"LINKER": "SCAMP", "MOTION_FIT": "SEED", "SEX_CONFIG": shipped("semp/seed.sex")}
TWO_CHIPS = {**ONE_FIELD, "chips": (2, 1), "size_px": (256, 384), "stars": 100}


@dataclass
class World:
    """The painted night, a target in which its catalogues are cached, and the outcome with nothing changed."""

    night: PaintedNight
    target: Path
    mosaic: PaintedNight  # another night, of a camera of two chips
    plain: pd.DataFrame  # candidates with nothing changed
    n_sources: int  # sources linked with nothing changed
    funnel: dict[str, int]  # and those left by each filter
    states: dict[str, str]  # of the sequences, so too

    def run(self, *paths: Path, target: Path | None = None, **parameters: object) -> Outcome:
        return run(
            target or self.target,
            *(paths or (self.night.directory,)),
            **{"reference": self.night.refcat, **SEED, **parameters},
        )

    def candidates(self, **parameters: object) -> pd.DataFrame:
        return self.run(**parameters).candidates

    def movers(self, table: pd.DataFrame) -> set[str]:
        """Painted movers that a table of candidates has."""
        joined = table.merge(self.night.truth, left_on="IMAGE_FILENAME", right_on="image")
        near = separation_arcsec(joined["RA"], joined["DEC"], joined["ra"], joined["dec"]) < 4.0
        return set(joined.loc[near, "id"])

    def linked(self, **parameters: object) -> tuple[int, dict[str, int]]:
        """Sources, and sources left by each filter."""
        (sequence,) = self.run(**parameters).sequences
        return sequence.result.n_sources, dict(sequence.result.funnel)

    def known(self, *, north_arcsec: float = 0.0) -> pd.DataFrame:
        """The painted movers as known objects, beside their places."""
        t = self.night.truth
        ra, dec = moved(
            t["ra"].to_numpy(), t["dec"].to_numpy(), np.zeros(len(t)), np.full(len(t), north_arcsec)
        )
        pa = np.radians(t["pa"])
        rates = {"dra": t["rate"] * np.sin(pa), "ddec": t["rate"] * np.cos(pa)}
        table = pd.DataFrame({"mjd_mid": t["mjd_mid"], "ra": ra, "dec": dec, "Mv": t["mag"], **rates})
        return table.assign(unc=0.1, name=t["id"], number=np.nan)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    night = shared_sky(tmp_path_factory, **TWO_FILTERS)
    target = tmp_path_factory.mktemp("effect") / "out"
    outcome = run(target, night.directory, reference=night.refcat, **SEED)
    made = World(
        night=night,
        mosaic=shared_sky(tmp_path_factory, **TWO_CHIPS),
        target=target,
        plain=outcome.candidates,
        n_sources=outcome.sequences[0].result.n_sources,
        funnel=dict(outcome.sequences[0].result.funnel),
        states=outcome.states,
    )
    assert made.movers(made.plain) == {"BRIGHT", "QUICK"}
    assert made.plain["CANDIDATE"].nunique() == 2
    return made


Check = Callable[[World, Path], None]
EFFECTS: dict[str, Check] = {}


def shows(*names: str) -> Callable[[Check], Check]:
    """The decorated function shows the effect of these parameters."""

    def register(check: Check) -> Check:
        check.names = ",".join(names)
        EFFECTS.update(dict.fromkeys(names, check))
        return check

    return register


def edited(tmp_path: Path, name: str, *changes: tuple[str, str]) -> Path:
    """A shipped set-up file with some text replaced."""
    text = shipped(f"semp/{name}").read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = tmp_path / f"mine-{name}"
    path.write_text(text)
    return path


def with_keyword(name: str, keyword: str, value: str, tmp_path: Path) -> Path:
    """A shipped set-up file in which one keyword has another value."""
    lines = shipped(f"semp/{name}").read_text().splitlines()
    kept = [line for line in lines if not line.split("#")[0].startswith(keyword + " ")]
    path = tmp_path / f"mine-{name}"
    path.write_text("\n".join([*kept, f"{keyword}  {value}", ""]))
    return path


# ---- images ---------------------------------------------------------------------------------------------


def headers(world: World, tmp_path: Path) -> Path:
    """The night with a second set of keywords that say something else."""
    raw = tmp_path / "raw"
    raw.mkdir()
    for path in world.night.paths:
        with fits.open(path) as hdus:
            header = hdus[0].header.copy()
            header["TARGNAME"] = "Other name"
            header["BEGIN"] = header["DATE-OBS"].replace("T23:", "T22:").replace("-15T00:", "-14T23:")
            header["BAND"], header["INTTIME"] = "z", 600.0
            fits.PrimaryHDU(hdus[0].data.copy(), header).writeto(raw / path.name)
    return raw


@shows("HEADER_MAP")
def header_map(world: World, tmp_path: Path) -> None:
    """A map in place of keywords, a clock that is an hour behind, and a band by another name."""
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[[instrument]]\nname = "painted"\nmatch = { BAND = "z" }\nobject = "TARGNAME"\nfilter = "BAND"\n'
        'exptime = "INTTIME"\nbands = { z = "zs" }\ntime = "BEGIN"\ntime_zone = "-01:00"\n'
    )
    raw, target = headers(world, tmp_path), tmp_path / "plain"
    plain = world.run(raw, target=target).candidates
    mapped = world.run(raw, target=target, HEADER_MAP=mine).candidates
    assert set(plain["FIELD"]) == {"F01"}
    assert set(mapped["FIELD"]) == {"Other_name"}
    assert set(mapped["FILTER"]) == {"zs"}
    later = mapped["MID_EXPOSURE_MJD"].min() - plain["MID_EXPOSURE_MJD"].min()
    assert later * 24 == pytest.approx((600.0 - 120.0) / 2.0 / 3600.0, abs=1e-5)


@shows("OBJECT", "DATE-OBS", "FILTER", "EXPTIME")
def keywords(world: World, tmp_path: Path) -> None:
    raw = headers(world, tmp_path)
    plain = world.run(raw, target=tmp_path / "plain").candidates
    assert set(plain["FIELD"]) == {"F01"}
    other = world.run(
        raw, target=tmp_path / "plain", OBJECT="TARGNAME", DATE__OBS="BEGIN", FILTER="BAND", EXPTIME="INTTIME"
    ).candidates
    assert set(other["FIELD"]) == {"Other_name"}
    assert set(other["FILTER"]) == {"z"}
    assert set(other["EXPTIME"]) == {600.0}
    first = other["MID_EXPOSURE_MJD"].min() - plain["MID_EXPOSURE_MJD"].min()
    assert first * 24 == pytest.approx(-1.0 + (600.0 - 120.0) / 2.0 / 3600.0, abs=1e-5)


@shows("SCI_EXTENSION")
def extension(world: World, tmp_path: Path) -> None:
    counts = {}
    for wanted in ("All", "1", "2"):
        out = world.run(
            world.mosaic.directory,
            target=tmp_path / "out",
            reference=world.mosaic.refcat,
            SCI_EXTENSION=wanted,
        )
        counts[wanted] = out.sequences[0].result.n_sources
    assert counts["1"] < counts["All"] > counts["2"]
    assert counts["1"] != counts["2"]


@shows("WEIGHT_IMAGES")
def weights(world: World, tmp_path: Path) -> None:
    shape = world.night.options.size_px[::-1]
    weight = np.ones(shape, dtype=np.float32)
    weight[: shape[0] // 2] = 0.0
    for path in world.night.paths:
        fits.PrimaryHDU(weight).writeto(tmp_path / f"{path.stem}_0.weight")
    n_sources, _ = world.linked(WEIGHT_IMAGES=tmp_path)
    assert n_sources < 0.7 * world.n_sources


# ---- set-up files ---------------------------------------------------------------------------------------


@shows("SEX_CONFIG")
def sextractor(world: World, tmp_path: Path) -> None:
    n_sources, _ = world.linked(SEX_CONFIG=with_keyword("ssos.sex", "DETECT_THRESH", "40", tmp_path))
    assert n_sources < 0.7 * world.n_sources


@shows("SEX_PARAMS")
def measured(world: World, tmp_path: Path) -> None:
    path = tmp_path / "mine.param"
    path.write_text(shipped("semp/ssos.param").read_text() + "\nISOAREA_IMAGE\n")
    assert "ISOAREA_IMAGE" not in world.plain.columns
    assert (world.candidates(SEX_PARAMS=path)["ISOAREA_IMAGE"] > 5).all()


@shows("SEX_FILTER")
def convolution(world: World, tmp_path: Path) -> None:
    path = tmp_path / "mine.conv"
    path.write_text("CONV NORM\n# nothing is smoothed\n0 0 0\n0 1 0\n0 0 0\n")
    n_sources, _ = world.linked(SEX_FILTER=path)
    assert n_sources != world.n_sources


@shows("SEX_NNW")
def network(world: World, tmp_path: Path) -> None:
    head, _, last = shipped("semp/default.nnw").read_text().rstrip().rpartition("\n")
    assert float(last) == 1.0  # the scale of what comes out
    path = tmp_path / "mine.nnw"
    path.write_text(f"{head}\n 5.00000e-01\n")
    assert not np.allclose(world.candidates(SEX_NNW=path)["CLASS_STAR"], world.plain["CLASS_STAR"])


@shows("SCAMP_CONFIG")
def scamp(world: World, tmp_path: Path) -> None:
    path = with_keyword("ssos.scamp", "CROSSID_RADIUS", "1.0", tmp_path)
    table = world.candidates(SCAMP_CONFIG=path, CROSSID_RADIUS="CONFIG")
    assert world.movers(table) == set()


@shows("CROSSID_RADIUS")
def radius(world: World, tmp_path: Path) -> None:
    # 30 and 45 "/h make 4" and 6" from one exposure to the next
    assert world.movers(world.candidates(CROSSID_RADIUS=5)) == {"BRIGHT"}


@shows("ASTREF_CATALOG")
def reference(world: World, tmp_path: Path) -> None:
    stars = read_reference(world.night.refcat)
    write_reference(tmp_path / "north.cat", stars.assign(DEC=stars["DEC"] + 3.0 / 3600.0))
    table = world.candidates(reference=tmp_path / "north.cat")
    shift = (
        table.groupby("IMAGE_FILENAME")["DEC"].mean() - world.plain.groupby("IMAGE_FILENAME")["DEC"].mean()
    )
    assert shift.to_numpy() * 3600.0 == pytest.approx(3.0, abs=0.1)


@shows("REMOVE_REF_SOURCES")
def without_stars(world: World, tmp_path: Path) -> None:
    n_sources, left = world.linked(REMOVE_REF_SOURCES=True)
    assert left["FILTER_DETEC"] < 0.5 * world.funnel["FILTER_DETEC"]
    assert n_sources < world.n_sources
    calibrated = world.candidates(REMOVE_REF_SOURCES=True)["MAG_CALIB"]  # by the stars that are not linked
    assert calibrated.notna().mean() > 0.9


@shows("SWARP_CONFIG")
def swarp(world: World, tmp_path: Path) -> None:
    path = edited(tmp_path, "ssos.swarp", ("SUBTRACT_BACK          N", "SUBTRACT_BACK          Y"))
    levels = []
    for setup in (shipped("semp/ssos.swarp"), path):
        out = world.run(EXTRACT_CUTOUTS=True, CUTOUT_SIZE=64, CUTOUT_RESAMPLER="SWARP", SWARP_CONFIG=setup)
        levels.append(np.median([np.median(fits.getdata(p)) for p in cutouts(out)]))
    assert levels[0] > 300.0
    assert abs(levels[1]) < 5.0


def cutouts(outcome: Outcome) -> list[Path]:
    return sorted((outcome.target / outcome.night / "F01" / "cutouts").glob("*.fits"))


# ---- sequences and site -----------------------------------------------------------------------------------


@shows("FIELD_RADIUS")
def pointing(world: World, tmp_path: Path) -> None:
    """Smaller than the dither: exposures of one field are told apart."""
    assert world.states == {"F01": "done"}
    assert len(world.run(target=tmp_path / "out", FIELD_RADIUS=0.001).states) == 4


@shows("SEQUENCE_GAP")
def gap(world: World, tmp_path: Path) -> None:
    assert len(world.run(target=tmp_path / "out", SEQUENCE_GAP=0.2).states) == 1
    assert len(world.run(target=tmp_path / "out", SEQUENCE_GAP=0.1).states) == 4


@shows("MIN_EXPOSURES")
def exposures(world: World, tmp_path: Path) -> None:
    assert world.states == {"F01": "done"}  # 3 are enough by default
    assert world.run(target=tmp_path / "out", MIN_EXPOSURES=5).states == {"F01": "parked"}


@shows("OBSERVATORY_CODE")
def observatory(world: World, tmp_path: Path) -> None:
    assert world.run(OBSERVATORY_CODE="950").draft.startswith("COD 950\n")
    with SkybotService(world.known()) as service:
        world.run(OBSERVATORY_CODE="950", CROSSMATCH_SKYBOT=True, SKYBOT_URL=service.url)
    assert {asked["-observer"] for asked in service.requests} == {"950"}


@shows("SITE_LON")
def longitude(world: World, tmp_path: Path) -> None:
    """23 h UTC of the 14th is before noon at 179 W; also in a target that was filled for another site."""
    assert world.run(target=tmp_path / "out").nights == ["2026-11-14"]
    at_the_date_line = {"SITE_LON": -179.0, "SITE_LAT": 0.0, "SITE_ALT": 0.0}
    again = world.run(target=tmp_path / "out", **at_the_date_line)
    fresh = world.run(target=tmp_path / "fresh", **at_the_date_line)
    assert fresh.nights == ["2026-11-13"]
    assert again.done.n_extracted == 0
    tables = [o.target / "2026-11-13" / "candidates.csv" for o in (again, fresh)]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    assert len(again.tables["2026-11-13"]) == 8
    assert len(again.tables["2026-11-14"]) == 0  # nothing is left of the night that was none


@shows("SITE_LAT", "SITE_ALT")
def place(world: World, tmp_path: Path) -> None:
    def site(lat: float, alt: float):
        given = {"SITE_LON": "0", "SITE_LAT": str(lat), "SITE_ALT": str(alt)}
        return Station.open(load_config(None, overrides={**QUICK, **given}, cwd=tmp_path), tmp_path).site

    mjd = 61358.5
    assert sun_altitude_deg(mjd, site(60.0, 0.0)) < sun_altitude_deg(mjd, site(10.0, 0.0)) - 30.0
    assert (site(10.0, 0.0).alt_m, site(10.0, 2500.0).alt_m) == (0.0, 2500.0)


# ---- the chain ----------------------------------------------------------------------------------------------


@shows("FILTER_DETEC", "DETECTIONS")
def number(world: World, tmp_path: Path) -> None:
    plain = world.funnel
    _, fewer = world.linked(DETECTIONS="1,2,3,4")
    assert fewer["FILTER_DETEC"] < plain["FILTER_DETEC"]
    _, off = world.linked(DETECTIONS="1,2,3,4", FILTER_DETEC=False)
    assert "FILTER_DETEC" not in off
    assert off["FILTER_PM"] > plain["FILTER_PM"]


@shows("FILTER_PM", "PM_LOW", "PM_UP", "PM_SNR")
def rate(world: World, tmp_path: Path) -> None:
    assert world.movers(world.candidates(PM_UP=40)) == {"BRIGHT"}
    assert world.movers(world.candidates(PM_LOW=40)) == {"QUICK"}
    ratio = (world.plain["PM"] / world.plain["PMERR"]).groupby(world.plain["CANDIDATE"]).first()
    between = float(ratio.mean())
    assert ratio.min() < between < ratio.max()
    assert world.candidates(PM_SNR=between)["CANDIDATE"].nunique() == 1
    assert world.movers(world.candidates(PM_UP=40, FILTER_PM=False)) == {"BRIGHT", "QUICK"}


@shows("FILTER_PIXEL", "DELTA_PIXEL")
def same_pixel(world: World, tmp_path: Path) -> None:
    assert len(world.candidates(DELTA_PIXEL=100)) == 0
    assert world.movers(world.candidates(DELTA_PIXEL=100, FILTER_PIXEL=False)) == {"BRIGHT", "QUICK"}


@shows("FILTER_MOTION", "R_SQU_M")
def linear(world: World, tmp_path: Path) -> None:
    assert len(world.candidates(R_SQU_M=1)) == 0
    assert world.candidates(R_SQU_M=0.5)["CANDIDATE"].nunique() > 2
    assert world.movers(world.candidates(R_SQU_M=1, FILTER_MOTION=False)) == {"BRIGHT", "QUICK"}


@shows("IDENTIFY_OUTLIER", "OUTLIER_THRESHOLD")
def outlier(world: World, tmp_path: Path) -> None:
    """Four detections in a line within an hour, and one astray long after: at the level of the chain."""
    hours = np.array([0.0, 0.2, 0.45, 0.7, 8.0])
    table = pd.DataFrame(
        {
            "SOURCE_NUMBER": 1,
            "MID_EXPOSURE_MJD": 61358.8 + hours / 24.0,
            "RA": 50.0 + np.array([0.0, 6.0, 13.5, 21.0, 3.0]) / 3600.0,
            "DEC": 18.0 + np.array([0.0, -4.0, -9.0, -14.0, 2.0]) / 3600.0,
            "ERRA_WORLD": 0.05 / 3600.0,
            "ERRB_WORLD": 0.05 / 3600.0,
            "ERRTHETA_WORLD": 0.0,
            "FLAGS_SCAMP": 0,
            "FLAGS_SSOS": 0,
        }
    )
    off = {name: False for name in PARAMETERS if name.startswith("FILTER_")}

    def chain(**changes: object):
        config = load_config(None, overrides={"MOTION_FIT": "SEED"}, cwd=tmp_path)
        values = {**config, **off, "FILTER_MOTION": True, **changes}
        return run_chain(table, settings=ChainSettings.from_mapping(values)).candidates

    assert len(chain()) == 0
    kept = chain(IDENTIFY_OUTLIER=True)
    assert kept["FLAGS_SSOS"].tolist() == [0, 0, 0, 0, 1]
    assert len(chain(IDENTIFY_OUTLIER=True, OUTLIER_THRESHOLD=1000.0)) == 0


@shows("FILTER_TRAIL", "RATIO")
def trail(world: World, tmp_path: Path) -> None:
    assert len(world.candidates(RATIO=50)) == 8
    assert len(world.candidates(FILTER_TRAIL=True, RATIO=50)) == 0
    assert len(world.candidates(FILTER_TRAIL=True, RATIO=0)) == 8


@shows("FILTER_BRIGHT_SOURCES", "BRIGHT_SOURCES_CAT", "DISTANCE", "MAG_LIMITS")
def bright(world: World, tmp_path: Path) -> None:
    row = world.plain.iloc[0]  # the middle of the list is another mover, further away
    stars = pd.DataFrame({"RA": [row["RA"]], "DEC": [row["DEC"] + 20.0 / 3600.0], "MAG": [5.0]})
    stars.to_csv(tmp_path / "bright.csv", index=False)
    given = {"FILTER_BRIGHT_SOURCES": True, "BRIGHT_SOURCES_CAT": tmp_path / "bright.csv", "DISTANCE": 30}
    assert world.candidates(**given)["CANDIDATE"].nunique() == 1
    assert world.candidates(**{**given, "FILTER_BRIGHT_SOURCES": False})["CANDIDATE"].nunique() == 2
    assert world.candidates(**{**given, "DISTANCE": 5})["CANDIDATE"].nunique() == 2
    assert world.candidates(**{**given, "MAG_LIMITS": "-99,4"})["CANDIDATE"].nunique() == 2
    of_reference = {**given, "BRIGHT_SOURCES_CAT": "REFCAT", "DISTANCE": 500}
    assert world.candidates(**of_reference)["CANDIDATE"].nunique() == 2
    assert len(world.candidates(**{**of_reference, "MAG_LIMITS": "0,30"})) == 0


@shows("LINKER")
def linker(world: World, tmp_path: Path) -> None:
    """SCAMP alone, the tracklet linker alone, and who found what when both link."""
    assert set(world.plain["LINKED_BY"]) == {"SCAMP"}
    alone = world.candidates(LINKER="TRACKLET", MOTION_FIT="PLANE")
    assert set(alone["LINKED_BY"]) == {"TRACKLET"}
    assert world.movers(alone) >= {"BRIGHT", "QUICK"}
    together = world.candidates(LINKER="BOTH", MOTION_FIT="PLANE")
    of_mover = together[
        together["SOURCE_NUMBER"].isin(together.loc[together["LINKED_BY"] == "BOTH", "SOURCE_NUMBER"])
    ]
    assert world.movers(of_mover) >= {"BRIGHT", "QUICK"}
    assert not together.duplicated(["CATALOG_NUMBER", "EXTENSION", "NUMBER"]).any()


@shows("MOTION_FIT")
def motion_fit(world: World, tmp_path: Path) -> None:
    """What R_SQU_M takes away stays by the rule of the plane, which does not ask for it."""
    assert len(world.candidates(R_SQU_M=1)) == 0
    plane = world.candidates(R_SQU_M=1, MOTION_FIT="PLANE")
    assert world.movers(plane) >= {"BRIGHT", "QUICK"}


# ---- photometry -----------------------------------------------------------------------------------------------


@shows("AST_CAT", "REF_BAND", "PHOT_BAND", "FILTER_BANDS")
def bands(world: World, tmp_path: Path) -> None:
    """The night has filters g and r in turn, its reference stars one magnitude each and no colours."""
    assert set(world.plain["BAND"]) == {"G"}
    assert world.candidates(AST_CAT="AUTO")["MAG_CALIB"].isna().all()  # a file of nobody's catalogue
    assert world.candidates(AST_CAT="UCAC5")["MAG_CALIB"].isna().all()  # of what band?
    named = world.candidates(AST_CAT="UCAC5", REF_BAND="r")
    assert set(zip(named["BAND"], named["PHOT_CAT"], strict=True)) == {("r", "UCAC5")}
    table = read_reference(world.night.refcat)
    colours = tmp_path / "with-colours.cat"
    write_reference(colours, table.assign(BP=table["MAG"] + 0.35, RP=table["MAG"] - 0.47))
    given = {"reference": colours, "AST_CAT": "Gaia3"}
    plain = world.candidates(**given)
    assert dict(zip(plain["FILTER"], plain["BAND"], strict=True)) == {"g": "g", "r": "r"}
    brighter = plain.groupby("FILTER")["MAG_CALIB"].median()
    assert 0.3 < brighter["g"] - brighter["r"] < 0.7  # the Sun's is 0.46
    assert set(world.candidates(**given, PHOT_BAND="V")["BAND"]) == {"V"}
    mapped = world.candidates(**given, FILTER_BANDS="g=V")
    assert dict(zip(mapped["FILTER"], mapped["BAND"], strict=True)) == {"g": "V", "r": "r"}


# ---- known objects --------------------------------------------------------------------------------------------


@shows("CROSSMATCH_SKYBOT", "SKYBOT_URL", "CROSSMATCH_RADIUS")
def known(world: World, tmp_path: Path) -> None:
    assert set(world.plain["MATCH_STATE"]) == {"unchecked"}
    with SkybotService(world.known(north_arcsec=4.0)) as service, SkybotService() as nobody:
        asked = {"CROSSMATCH_SKYBOT": True, "SKYBOT_URL": service.url}
        table = world.candidates(**asked)
        assert set(table["MATCH_STATE"]) == {"matched"}
        assert set(table["SKYBOT_NAME"]) == {"BRIGHT", "QUICK"}
        assert table["SKYBOT_DELTADEC"].abs().to_numpy() == pytest.approx(4.0, abs=0.3)
        near = world.candidates(**asked, CROSSMATCH_RADIUS=2)
        assert not near["MATCHED"].any()
        assert "matched" not in set(near["MATCH_STATE"])
        # the address is no part of what a result depends on: another target asks anew
        other = world.run(target=tmp_path / "out", **{**asked, "SKYBOT_URL": nobody.url}).candidates
        assert set(other["MATCH_STATE"]) == {"unknown"}
        assert service.requests
        assert nobody.requests


@shows("FOV_DIMENSIONS")
def box(world: World, tmp_path: Path) -> None:
    with SkybotService(world.known()) as service:
        asked = {"CROSSMATCH_SKYBOT": True, "SKYBOT_URL": service.url}
        assert set(world.candidates(**asked)["MATCH_STATE"]) == {"matched"}
        first = len(service.requests)
        world.candidates(**asked, FOV_DIMENSIONS="0.2x0.3")
        assert first
        assert {(a.get("-bd"), a.get("-rs")) for a in service.requests[:first]}.isdisjoint(
            {(a.get("-bd"), a.get("-rs")) for a in service.requests[first:]}
        )
        tiny = world.candidates(**asked, FOV_DIMENSIONS="0.001x0.001")
        assert "matched" not in set(tiny["MATCH_STATE"])


@shows("SKYBOT_TIME_LIMIT")
def patience(world: World, tmp_path: Path) -> None:
    with SkybotService(world.known(), way="hang") as service:
        asked = {"CROSSMATCH_SKYBOT": True, "SKYBOT_URL": service.url, "SKYBOT_TIME_LIMIT": 0.2}
        out = world.run(target=tmp_path / "out", **asked)
    (linked,) = out.sequences
    assert linked.result.unchecked_because
    assert set(out.candidates["MATCH_STATE"]) == {"unchecked"}


def orbits_of(world: World, tmp_path: Path, *, comet: bool = False) -> Path:
    """A file of orbits, or of comets, in which the mover BRIGHT is an object of that name."""
    first = world.known().set_index("name").loc["BRIGHT"].iloc[0]
    where = {"ra": first["ra"], "dec": first["dec"], "pm_ra": first["dra"], "pm_dec": first["ddec"]}
    where |= {"mjd": first["mjd_mid"], "site": site_from_code("493")}
    path = tmp_path / ("comets.txt" if comet else "orbits.dat")
    if comet:
        orbit, mjd = orbit_seen_at(**where)
        path.write_text(comet_line("1P/Bright", **orbit, mjd=mjd))
    else:
        path.write_text(line_seen_at(0, epoch_mjd=round(first["mjd_mid"]), name="Bright", **where) + "\n")
    return path


def named(table: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """State and source of knowledge of each candidate, by the name of its known object."""
    first = table.drop_duplicates("CANDIDATE").set_index("SKYBOT_NAME")
    return {name: (row["MATCH_STATE"], row["KNOWN_BY"]) for name, row in first.to_dict("index").items()}


@shows("KNOWN_SOURCES", "KNOWN_COMBINE", "ORBITS")
def sources(world: World, tmp_path: Path) -> None:
    """The service knows QUICK alone, the file of orbits BRIGHT alone."""
    quick = world.known()
    quick = quick[quick["name"] == "QUICK"]
    bright, other = {"Bright": ("matched", "MPCORB")}, {"QUICK": ("matched", "SKYBOT")}
    unknown = {"": ("unknown", "")}
    with SkybotService(quick) as service:
        asked = {"CROSSMATCH_SKYBOT": True, "SKYBOT_URL": service.url, "ORBITS": orbits_of(world, tmp_path)}
        assert named(world.candidates(**asked)) == other | unknown
        assert named(world.candidates(**asked, KNOWN_COMBINE="ALL")) == bright | other
        assert named(world.candidates(**asked, KNOWN_SOURCES="ORBITS,SKYBOT")) == bright | unknown
        assert named(world.candidates(**asked, KNOWN_SOURCES="SKYBOT")) == other | unknown
        assert named(world.candidates(**{**asked, "CROSSMATCH_SKYBOT": False})) == bright | unknown
        service.way = "http500"
        alone = world.run(target=tmp_path / "out", **asked).candidates
        assert named(alone) == bright | unknown


@shows("COMETS")
def comets(world: World, tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    orbits = far / "orbits.dat"
    orbits.write_text(line(0, 2.5, 0.1, 5.0, 40.0, 50.0, 60.0) + "\n")
    table = world.candidates(ORBITS=orbits, COMETS=orbits_of(world, tmp_path, comet=True))
    assert set(table.loc[table["MATCHED"], "SKYBOT_NAME"]) == {"Bright"}


@shows("ORBITS_URL", "COMETS_URL", "ORBITS_AGE")
def downloads(world: World, tmp_path: Path) -> None:
    """What is fetched, from where, and when again; the orbits take part once they are there."""
    (tmp_path / "web").mkdir()
    orbits = orbits_of(world, tmp_path / "web")
    comet = orbits_of(world, tmp_path / "web", comet=True)
    with served(tmp_path / "web") as address:
        given = {"ORBITS": "DOWNLOAD", "COMETS": "DOWNLOAD", "ORBITS_AGE": "2"}
        given |= {"ORBITS_URL": f"{address}/{orbits.name}", "COMETS_URL": f"{address}/{comet.name}"}
        config = load_config(None, overrides={**QUICK, **given}, cwd=tmp_path)
        station = Station.open(config, tmp_path / "out")
        assert old_files(station, now_s=1e9) == ["ORBITS", "COMETS"]
        for name, source in {"ORBITS": orbits, "COMETS": comet}.items():
            path = refresh(name, station=station, now_s=1e9)
            assert path.read_bytes() == source.read_bytes()
    assert old_files(station, now_s=1e9 + 2 * 86400 - 1) == []
    assert old_files(station, now_s=1e9 + 2 * 86400 + 1) == ["ORBITS", "COMETS"]


# ---- pictures and magnitudes ------------------------------------------------------------------------------------


@shows("EXTRACT_CUTOUTS", "CUTOUT_SIZE")
def pictures(world: World, tmp_path: Path) -> None:
    assert cutouts(world.run()) == []
    for size in (20, 33):
        made = cutouts(world.run(EXTRACT_CUTOUTS=True, CUTOUT_SIZE=size))
        assert len(made) == 8
        assert {fits.getdata(path).shape for path in made} == {(size, size)}


@shows("CUTOUT_RESAMPLER")
def resampler(world: World, tmp_path: Path) -> None:
    for name, stands_still in (("LANCZOS3", True), ("SWARP", False)):
        made = cutouts(world.run(EXTRACT_CUTOUTS=True, CUTOUT_SIZE=24, CUTOUT_RESAMPLER=name))
        grids = {(path.name.split("_")[0], fits.getval(path, "CRVAL1")) for path in made}
        assert (len(grids) == 2) == stands_still  # one for each of the two sources


@shows("FIXED_APER_MAGS", "REFERENCE_FILTER")
def apertures(world: World, tmp_path: Path) -> None:
    assert "MAG_APER" not in world.plain.columns
    tables = {f: world.candidates(FIXED_APER_MAGS=True, REFERENCE_FILTER=f, CUTOUT_SIZE=40) for f in "gr"}
    assert all(t["MAG_APER"].notna().all() for t in tables.values())
    assert not np.allclose(tables["g"]["MAG_APER"], tables["r"]["MAG_APER"], atol=1e-6)


@shows("CHECKPLOTS")
def plots(world: World, tmp_path: Path) -> None:
    with SkybotService(world.known(north_arcsec=1.0)) as service:
        asked = {"CROSSMATCH_SKYBOT": True, "SKYBOT_URL": service.url}
        made = {}
        for kinds in ("False", "SKYBOT_PM", "SKYBOT_RESIDUALS,SKYBOT_PM"):
            out = world.run(**asked, CHECKPLOTS=kinds)
            made[kinds] = len(list((out.target / out.night / "F01" / "checkplots").iterdir()))
    assert made["False"] == 0
    assert 0 < made["SKYBOT_PM"] < made["SKYBOT_RESIDUALS,SKYBOT_PM"]


# ---- work ---------------------------------------------------------------------------------------------------------


@shows("SEX_TIME_LIMIT")
def sextractor_is_killed(world: World, tmp_path: Path) -> None:
    out = world.run(target=tmp_path / "out", SEX_TIME_LIMIT=0.001)
    assert len(out.done.parked_exposures) == 4
    assert all("0.001 s" in reason for _, reason in out.done.parked_exposures)
    assert out.states == {"F01": "parked"}


@shows("SCAMP_TIME_LIMIT")
def scamp_is_killed(world: World, tmp_path: Path) -> None:
    """A SCAMP that never ends."""
    folder = tmp_path / "bin"
    folder.mkdir()
    real = astromatic.find("scamp").path
    (folder / "scamp").write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exec {real} --version\nexec sleep 300\n'
    )
    (folder / "scamp").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        out = world.run(target=tmp_path / "out", SCAMP_TIME_LIMIT=1)
    (linked,) = out.sequences
    assert isinstance(linked.error, Retriable)
    assert "scamp ran over its time limit" in str(linked.error)
    assert world.run(target=tmp_path / "out").states == {"F01": "done"}  # what may pass is tried again


@shows("REFCAT", "REFCAT_MAG", "REFCAT_URL", "REFCAT_TIME_LIMIT")
def reference_tiles(world: World, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    with VizierService(read_reference(world.night.refcat).assign(BP=16.0, RP=15.0), way="hang") as service:
        given = {"ASTREF_CATALOG": "REFCAT", "REFCAT": kept, "REFCAT_URL": service.url}
        (slow,) = world.run(target=tmp_path / "a", **given, REFCAT_TIME_LIMIT=0.2).sequences
        assert "no complete answer within 0.2 s" in str(slow.error)
        service.way = "right"
        assert world.run(target=tmp_path / "a", **given).states == {"F01": "done"}
        world.run(target=tmp_path / "b", **given, REFCAT_MAG=18)
    stars = [len(read_reference(next((kept / f"gaiadr3-g{mag}").glob("*.cat")))) for mag in (18, 20)]
    assert 0 < stars[0] < stars[1]


@shows("SWARP_TIME_LIMIT")
def swarp_is_killed(world: World, tmp_path: Path) -> None:
    out = world.run(
        target=tmp_path / "out",
        EXTRACT_CUTOUTS=True,
        CUTOUT_SIZE=24,
        CUTOUT_RESAMPLER="SWARP",
        SWARP_TIME_LIMIT=0.001,
    )
    (linked,) = out.sequences
    killed = sum("0.001 s" in note for note in linked.result.notes)
    assert killed >= 1  # on a busy machine some are done before they are looked at
    assert len(cutouts(out)) == 8 - killed
    assert len(out.candidates) == 8


@shows("WORKERS")
def workers(world: World, tmp_path: Path) -> None:
    """As many exposures at once: each waits until all of them are there."""
    together = threading.Barrier(4, timeout=30.0)
    extract = work.extract_exposure

    def wait(*arguments: object, **named: object):
        together.wait()
        return extract(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "extract_exposure", wait)
        assert world.run(target=tmp_path / "out", WORKERS=4).done.n_extracted == 4
    station = Station.open(load_config(None, overrides={"WORKERS": "3"}, cwd=tmp_path), tmp_path)
    assert station.workers == 3


# ---- of the daemon, but of a replay, too ------------------------------------------------------------------------------


@shows("INCLUDE", "EXCLUDE")
def patterns(world: World, tmp_path: Path) -> None:
    assert world.run(target=tmp_path / "a", INCLUDE="*_00[123].fits").done.n_files == 3
    assert world.run(target=tmp_path / "a", EXCLUDE="*_004.fits,*_001.fits").done.n_files == 2


@shows("CALIBRATION")
def calibration(world: World, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for path in world.night.paths:
        with fits.open(path) as hdus:
            hdus[0].header["IMAGETYP"] = "Skyflat" if "_004" in path.name else ""
            hdus.writeto(raw / path.name)
    plain = world.run(raw, target=tmp_path / "out")
    assert (plain.done.n_ignored, plain.done.n_extracted) == (1, 3)
    changed = world.run(raw, target=tmp_path / "out", CALIBRATION="False")
    assert (changed.done.n_ignored, changed.done.n_extracted) == (0, 1)


def injected(world: World, **parameters: object) -> pd.DataFrame:
    """Counts of synthetic movers."""
    with Store(world.run(**parameters).target / STORE_NAME) as store:
        return pd.DataFrame(store.rows("SELECT * FROM completeness"))


@shows("INJECT", "INJECT_MAG", "INJECT_RATE")
def _(world: World, _: Path) -> None:
    assert injected(world).empty
    assert 0 < injected(world, INJECT=9)["n_injected"].sum() <= 9
    bright = injected(world, INJECT=9, INJECT_MAG="15,16", INJECT_RATE="5,20")
    assert set(bright["mag_low"]) <= {15.0, 15.5}
    assert set(bright["rate_low"]) == {5.0}
    quick = injected(world, INJECT=9, INJECT_MAG="17,18", INJECT_RATE="60,90")
    assert set(quick["mag_low"]) <= {17.0, 17.5}
    assert set(quick["rate_low"]) == {60.0}


@shows("FIT_TRAILS")
def trails(world: World, _: Path) -> None:
    """Trails of 1 and 1.5 pixels, stars of 2.4."""
    fitted = {n: trail_rows(world.candidates(FIT_TRAILS=n)) for n in (0.3, 2, "False")}
    assert fitted[0.3].mean() > 0.7  # a star may be in the way of one
    assert not fitted[2].any()
    assert not fitted["False"].any()


@shows("FIT_MAGS")
def fitted_magnitudes(world: World, _: Path) -> None:
    flags = {on: world.candidates(FIT_MAGS=on)["FLAGS_SSOS"].to_numpy() & SHAPE_FLAG for on in (True, False)}
    assert (flags[True] > 0).mean() > 0.7  # a star may be in the way of one
    assert not flags[False].any()


@shows("RECOVER", "RECOVER_SNR")
def recovery(world: World, tmp_path: Path) -> None:
    movers = [
        replace(ONE_FIELD["placed"][0], name=f"{k}", north_arcsec=37.0 * k, east_arcsec=90.0 - 9.0 * k * k)
        for k in range(-3, 4)
    ]
    options = small_options(**{**ONE_FIELD, "placed": tuple(movers)}, exposures=5, clouds=((2, 3.9),))
    night = paint_night(tmp_path / "raw", options)

    def states(**more: object) -> set[str]:
        more |= {"reference": night.refcat, "LINKER": "BOTH", "MOTION_FIT": "PLANE"}
        out = world.run(night.directory, target=tmp_path / "out", **more)
        path = out.target / out.night / "recovered.csv"
        return set(read_recovered_csv(path)["STATE"]) if path.exists() else set()

    assert "measured" in states(RECOVER_SNR=1.5)
    assert "too faint" in (faint := states(RECOVER_SNR=80))
    assert "measured" not in faint
    assert states(RECOVER="False") == set()


@pytest.mark.parametrize("check", dict.fromkeys(EFFECTS.values()), ids=lambda check: check.names)
def test_effect(check: Check, world: World, tmp_path: Path) -> None:
    check(world, tmp_path)


def test_no_parameter_is_forgotten() -> None:
    elsewhere = (*daemon.ENTRIES, *mail.ENTRIES, *drafts.ENTRIES)  # tests of their own
    assert set(PARAMETERS) - {entry.name for entry in elsewhere} <= set(EFFECTS) <= set(PARAMETERS)
