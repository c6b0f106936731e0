"""Candidates where they were not detected: behind a star, too faint for a detection, off the chip."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from scipy.spatial import cKDTree

from ssosd.analysis.forced.fit import Trails, forced_flux
from ssosd.analysis.forced.recover import STATES
from ssosd.analysis.forced.rest import FixedSky
from ssosd.analysis.forced.trails import trail_rows
from ssosd.analysis.painter.night import PaintedNight, PlacedMover, paint_night
from ssosd.analysis.painter.sources import paint_list
from ssosd.config import load_config
from ssosd.ingest.prepare import Prepared
from ssosd.model import Exposure
from ssosd.reports.recovered import read_recovered_csv, recovered_markdown, write_recovered_csv
from ssosd.sphere import offsets_arcsec, separation_arcsec
from ssosd.station import Station
from ssosd.store import STORE_NAME, Store
from ssosd.work import key_of
from ssosd.work.calibrating import photometry_of
from ssosd.work.linking import Candidates, link_candidates
from ssosd.work.recovering import Pixels, light_left, recovered, with_trails
from ssosd.work.refusing import remaining
from tests.replaying import QUICK, Outcome, run
from tests.sky import small_options

pytestmark = pytest.mark.binaries

STAR_VISIT, CLOUDED_VISIT = 3, 4
RATE, PA = 40.0, 90.0  # arcsec/h, to the east: 10" from exposure to exposure
HOURS = np.arange(-2, 3) * 0.25
FAINT = tuple(f"FAINT{k}" for k in range(8))
#: Deep enough for no star to hide among the noise: what is there is detected.
SKY = small_options(
    exposures=5, clouds=((CLOUDED_VISIT, 2.1),), star_mags=(13.5, 19.0), stars=60, galaxies=0, cosmics=0.0,
    dither_arcsec=0.0, lightcurve_mag=0.0, size_px=(512, 512),
)  # fmt: skip


@dataclass(frozen=True)
class Field:
    """A painted field, replayed, and linked once more to have what the corridor has at that point."""

    night: PaintedNight
    outcome: Outcome
    station: Station
    left: Candidates

    @property
    def table(self) -> pd.DataFrame:
        return read_recovered_csv(self.outcome.target / self.outcome.night / "recovered.csv")

    def of(self, name: str) -> pd.DataFrame:
        """Rows of a painted mover, with the truth beside."""
        truth = self.night.truth[self.night.truth["id"] == name]
        table = self.table.merge(truth, left_on="IMAGE_FILENAME", right_on="image")
        near = separation_arcsec(table["RA_PREDICTED"], table["DEC_PREDICTED"], table["ra"], table["dec"]) < 3
        return table[near]

    def detections_of(self, name: str) -> pd.DataFrame:
        truth = self.night.truth[self.night.truth["id"] == name]
        table = self.outcome.candidates.merge(truth, left_on="IMAGE_FILENAME", right_on="image")
        return table[separation_arcsec(table["RA"], table["DEC"], table["ra"], table["dec"]) < 2]


def star_offsets() -> np.ndarray:
    """Places of all stars, arcsec to the east and north of the centre, and their magnitudes."""
    sky = paint_list(SKY, 1)
    return np.column_stack([*offsets_arcsec(sky["ra"], sky["dec"], *SKY.centers_deg[0]), sky["mag"]])


def clear_places(stars: np.ndarray, n: int) -> list[tuple[float, float]]:
    """Places whose whole track is 14 arcsec from all stars and 30 from each other."""
    tree, rng, found = cKDTree(stars[:, :2]), np.random.default_rng(4), []
    while len(found) < n:
        east, north = rng.uniform(-200.0, 200.0, 2)
        track = np.column_stack([east + RATE * HOURS, np.full(5, north)])
        alone = all(np.hypot(east - a, north - b) > 30.0 for a, b in found)
        if alone and tree.query(track)[0].min() > 14.0:
            found.append((east, north))
    return found


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Field:
    stars = star_offsets()
    tree = cKDTree(stars[:, :2])
    hides = [
        s for s in stars
        if 16.0 < s[2] < 17.0 and np.abs(s[:2]).max() < 180.0
        and tree.query(np.column_stack([s[0] + RATE * HOURS[[0, 1, 3, 4]], np.full(4, s[1])]))[0].min() > 9.0
    ]  # fmt: skip
    common = {"rate_arcsec_h": RATE, "pa_deg": PA}
    placed = [
        PlacedMover(name="CROSSES", east_arcsec=hides[0][0], north_arcsec=hides[0][1], mag=18.3, **common),
        PlacedMover(name="LEAVES", east_arcsec=240.0, north_arcsec=20.0, mag=17.5, **common),
    ]
    places = clear_places(np.vstack([stars, [[240.0, 20.0, 17.5], [*hides[0][:2], 18.3]]]), len(FAINT))
    placed += [
        PlacedMover(name=name, east_arcsec=east, north_arcsec=north, mag=19.2 + 0.07 * k, **common)
        for k, (name, (east, north)) in enumerate(zip(FAINT, places, strict=True))
    ]
    folder = tmp_path_factory.mktemp("recovery")
    night = paint_night(folder / "raw", replace(SKY, placed=tuple(placed)))
    outcome = run(folder / "out", night.directory, reference=night.refcat)
    overrides = {**QUICK, "ASTREF_CATALOG": str(night.refcat)}
    station = Station.open(load_config(None, overrides=overrides, cwd=folder), folder / "out")
    left = linked_again(station, outcome.night, folder / "link")
    return Field(night=night, outcome=outcome, station=station, left=left)


def linked_again(station: Station, night: str, room: Path) -> Candidates:
    with Store(station.target / STORE_NAME) as store:
        exposures = list(store.exposures(night=night).values())
        kept = store.catalogues({e.digest: e for e in exposures})
    catalogues = {e.digest: kept[key_of(e, station=station)] for e in exposures}
    room.mkdir()
    return link_candidates(exposures, catalogues, workdir=room, station=station, progress=lambda _: None)


def recovered_of(
    field: Field,
    exposures: tuple[Exposure, ...],
    found: pd.DataFrame | None = None,
    *,
    station: Station | None = None,
) -> pd.DataFrame:
    field = replace(field, station=station or field.station)
    left = replace(field.left, linked=replace(field.left.linked, exposures=exposures))
    found = (left.detections if found is None else found).assign(FIELD="F01", CANDIDATE="C")
    return recovered(found, pixels_of(field, left), station=field.station)


def pixels_of(field: Field, left: Candidates) -> Pixels:
    return Pixels.of(left, photometry_of(left.linked, station=field.station), station=field.station)


def test_every_candidate_has_a_row_for_every_exposure(field: Field) -> None:
    keys = ["CANDIDATE", "CATALOG_NUMBER"]
    both = pd.concat([field.outcome.candidates[keys], field.table[keys]])
    assert not both.duplicated().any()
    assert (both.groupby("CANDIDATE").size() == 5).all()
    assert set(field.table["STATE"]) <= set(STATES)
    (note,) = [n for n in field.outcome.sequences[0].result.notes if "without a detection" in n]
    assert note.startswith(f"{len(field.table)} places")


def test_behind_a_star_is_said_and_not_lost(field: Field) -> None:
    found = field.detections_of("CROSSES")
    assert sorted(found["visit"]) == [1, 2, 4, 5]
    (row,) = field.of("CROSSES").to_dict("records")
    assert (row["visit"], row["STATE"]) == (STAR_VISIT, "behind a star")
    assert np.isnan(row["MAG_CALIB"])
    assert "at rest" in row["REASON"]
    page = field.outcome.target / field.outcome.night / "report.html"
    assert "behind a star: " in page.read_text()


def test_off_the_detector(field: Field) -> None:
    rows = field.of("LEAVES")
    truth = field.night.truth.query("id == 'LEAVES'")
    assert set(rows["visit"]) == set(truth.loc[~truth["on_detector"], "visit"]) >= {5}
    assert set(rows["STATE"]) == {"off the detector"}
    assert rows["SNR"].isna().all()


def test_too_faint_for_a_detection_is_measured_with_the_right_light(field: Field) -> None:
    """Every faint mover, as if SExtractor had missed it: those that it missed alone are the unlucky ones."""
    missed = pd.concat([field.of(name) for name in FAINT])
    assert set(missed["visit"]) == {CLOUDED_VISIT}
    assert set(missed["STATE"]) <= {"measured", "too faint"}
    found = field.left.detections
    rows = recovered_of(field, field.left.linked.exposures, found[found["CATALOG_NUMBER"] != CLOUDED_VISIT])
    truth = field.night.truth[field.night.truth["id"].isin(FAINT)]
    rows = rows.merge(truth, left_on="IMAGE_FILENAME", right_on="image").query("visit == @CLOUDED_VISIT")
    apart = separation_arcsec(rows["RA_PREDICTED"], rows["DEC_PREDICTED"], rows["ra"], rows["dec"])
    rows = rows[apart < 3.0]
    assert len(rows) == len(FAINT)
    off = rows["SNR"] - rows["snr"]
    assert np.abs(off).max() < 3.0
    assert abs(off.mean()) < 3.0 / np.sqrt(len(FAINT))
    measured = rows[rows["STATE"] == "measured"]
    assert len(measured) >= 6
    pull = (measured["MAG_CALIB"] - measured["mag"]) / measured["MAG_CALIB_ERR"]
    assert np.abs(pull).max() < 3.0
    assert abs(pull.mean()) < 3.0 / np.sqrt(len(pull))
    offset = separation_arcsec(measured["RA"], measured["DEC"], measured["ra"], measured["dec"])
    assert (offset / measured["ERR_POSITION"] < 4.0).all()
    faint = rows[rows["STATE"] == "too faint"]
    assert (faint["MAG_LIMIT"] < faint["mag"] + 0.6).all()


def test_a_mover_leaves_nothing_behind_and_stars_stay(field: Field) -> None:
    """Eight movers, and eight made up of the detections of two stars: two of each."""
    pixels = pixels_of(field, field.left)
    found, _ = with_trails(field.left.detections, pixels, station=field.station)
    movers = light_left(found, pixels, station=field.station)
    assert set(movers["SOURCE_NUMBER"]) == set(found["SOURCE_NUMBER"])
    assert remaining(found, movers, snr=3.5).empty

    detections = field.left.positions
    clean = detections["SNR_WIN"].between(8.0, 200.0) & (detections["FLAGS_EXTRACTION"] == 0)
    visits = detections[clean & (detections["CATALOG_NUMBER"] != STAR_VISIT)]
    count = visits.groupby("SOURCE_NUMBER").size()
    stars = count.index[count == 4].to_numpy()[:16]
    early = visits["CATALOG_NUMBER"] < STAR_VISIT
    false = pd.concat(
        [
            visits[(early & (visits["SOURCE_NUMBER"] == one)) | (~early & (visits["SOURCE_NUMBER"] == other))]
            .assign(SOURCE_NUMBER=one)
            for one, other in stars.reshape(-1, 2)
        ],
        ignore_index=True,
    )  # fmt: skip
    false = pixels.photometry.apply(false)
    unknown = replace(
        pixels, rest=FixedSky(detections, field.left.linked.reference.iloc[:0].assign(FLUX=0.0))
    )
    ledger = remaining(false, light_left(false, unknown, station=field.station), snr=3.5)
    assert ledger["SOURCE_NUMBER"].tolist() == sorted(stars[::2])
    assert ledger["MEASURED"].between(0.8, 1.2).all()
    assert set(ledger["N_DETECTIONS"]) == {4}


def test_what_stands_still() -> None:
    """A star of two exposures, one of the reference, a hot pixel that drifts, a row without a position."""
    seen = pd.DataFrame(
        {
            "CATALOG_NUMBER": [1, 2, 1, 1, 2, 1],
            "RA": [10.0, 10.0001, 10.01, 10.02, 10.022, np.nan],
            "DEC": [0.0, 0.0001, 0.0, 0.0, 0.0, np.nan],
            "FLUX": 1.0,
        }
    )
    sky = FixedSky(seen, pd.DataFrame({"RA": [10.0101], "DEC": [0.0], "FLUX": [0.0]}))
    assert sky.still(seen).tolist() == [True, True, True, False, False, False]
    assert sky.still(seen.iloc[:0]).tolist() == []


def test_an_empty_sky_has_significances_of_mean_0_and_sigma_1(field: Field) -> None:
    """The independent check: nothing is painted there, and the pixels were never looked at before."""
    chips = pixels_of(field, field.left).chips
    rng, found = np.random.default_rng(7), []
    for (number, hdu), facts in chips.facts.items():
        with chips.open(number, hdu) as chip:
            taken = facts.detections[["XWIN_IMAGE", "YWIN_IMAGE"]].to_numpy(np.float64)
            movers = field.night.truth.loc[field.night.truth["visit"] == number, ["x", "y"]].to_numpy()
            stars = chip.sky.pixels_of(*field.night.stars[["ra", "dec"]].to_numpy().T)
            places = rng.uniform(20.0, 492.0, (1500, 2))
            distance = cKDTree(np.vstack([taken, movers, stars])).query(places)[0]
            places = places[distance > 12.0]
            n = len(places)
            for length in (0.0, 12.0):
                trails = Trails(
                    x=places[:, 0], y=places[:, 1], length=np.full(n, length), angle=rng.uniform(0, np.pi, n),
                    err_along=np.full(n, 0.3), err_across=np.full(n, 0.3), scale=np.ones(n),
                )  # fmt: skip
                light = forced_flux(chip.read(trails), trails, shape=chip.shape, gain=chip.gain)
                found.append(light.flux / light.sky_err)
    snr = np.concatenate(found)
    assert snr.size > 3000
    # places overlap: about one in four is independent
    assert abs(snr.mean()) < 0.1
    assert abs(snr.std() - 1.0) < 0.06
    assert (snr > 3.5).mean() < 0.003


def test_a_missing_file_costs_the_recovery_of_its_exposure_alone(field: Field, tmp_path: Path) -> None:
    exposures = field.left.linked.exposures
    whole = recovered_of(field, exposures)
    gone = exposures[CLOUDED_VISIT - 1].at(str(tmp_path / "gone.fits"))
    broken = recovered_of(field, (*exposures[: CLOUDED_VISIT - 1], gone, *exposures[CLOUDED_VISIT:]))
    there = whole["CATALOG_NUMBER"] == CLOUDED_VISIT
    on_chip = there & (whole["STATE"] != "off the detector")
    assert on_chip.any()
    assert set(broken.loc[on_chip, "STATE"]) == {"not read"}
    assert broken.loc[on_chip, "REASON"].str.contains("gone.fits").all()
    pd.testing.assert_frame_equal(broken[~there], whole[~there])


@pytest.mark.parametrize("flaw", ["hot pixel", "dead column"])
def test_bad_pixels_are_not_taken_for_the_object(field: Field, tmp_path: Path, flaw: str) -> None:
    exposures = field.left.linked.exposures
    found = field.left.detections[field.left.detections["CATALOG_NUMBER"] != CLOUDED_VISIT]
    rows = recovered_of(field, exposures, found)
    row = rows[rows["STATE"] == "measured"].iloc[0]
    copy = tmp_path / exposures[CLOUDED_VISIT - 1].name
    with fits.open(exposures[CLOUDED_VISIT - 1].path) as hdus:
        data = hdus[0].data.copy()
        y, x = round(row["Y_IMAGE"]) - 1, round(row["X_IMAGE"]) - 1
        if flaw == "hot pixel":
            data[y, x] += 3000
        else:
            data[:, x] = data[:, x] // 3
        fits.PrimaryHDU(data, hdus[0].header).writeto(copy)
    bad = exposures[CLOUDED_VISIT - 1].at(str(copy))
    again = recovered_of(field, (*exposures[: CLOUDED_VISIT - 1], bad, *exposures[CLOUDED_VISIT:]), found)
    assert again.loc[row.name, "STATE"] == "of another shape"
    assert "shape" in again.loc[row.name, "REASON"]
    on_it = (again["CATALOG_NUMBER"] == CLOUDED_VISIT) & (np.abs(rows["X_IMAGE"] - row["X_IMAGE"]) < 20.0)
    others = ~on_it if flaw == "dead column" else rows.index != row.name
    assert (again["STATE"] == rows["STATE"])[others].all()


def test_a_header_without_a_usable_saturation_level(field: Field, tmp_path: Path) -> None:
    """SATUR_LEVEL counts, which is what the header had: with 0 for it every pixel would be saturated."""
    exposures = field.left.linked.exposures
    copy = tmp_path / exposures[CLOUDED_VISIT - 1].name
    with fits.open(exposures[CLOUDED_VISIT - 1].path) as hdus:
        hdus[0].header["SATURATE"] = 0.0
        hdus.writeto(copy)
    other = exposures[CLOUDED_VISIT - 1].at(str(copy))
    again = recovered_of(field, (*exposures[: CLOUDED_VISIT - 1], other, *exposures[CLOUDED_VISIT:]))
    pd.testing.assert_frame_equal(again, recovered_of(field, exposures))


def test_gain_and_saturation_are_those_of_a_header_map(field: Field) -> None:
    """As SExtractor gets them; the file's own cards say something else."""
    exposures = field.left.linked.exposures
    mapped = [
        replace(e, chips=tuple(replace(c, cards=(("GAIN", 1e-4), ("SATURATE", None))) for c in e.chips))
        for e in exposures
    ]
    again, plain = recovered_of(field, mapped), recovered_of(field, exposures)
    light = plain["FLUX"] > 0.0
    assert light.any()
    assert (again["FLUXERR"] > 2.0 * plain["FLUXERR"])[light].all()


@pytest.mark.parametrize(("kind", "good", "bad"), [("", 1.0, 0.0), ("MAP_RMS", 30.0, 1e30)])
def test_pixels_without_weight_have_no_value(
    field: Field, tmp_path: Path, kind: str, good: float, bad: float
) -> None:
    """As SExtractor has it: no weight, or an error without bounds."""
    exposures = field.left.linked.exposures
    found = field.left.detections[field.left.detections["CATALOG_NUMBER"] != CLOUDED_VISIT]
    rows = recovered_of(field, exposures, found)
    row = rows[rows["STATE"] == "measured"].iloc[0]
    for number, exposure in enumerate(exposures, start=1):
        weights = np.full((512, 512), good, dtype=np.float32)
        if number == CLOUDED_VISIT:
            y, x = round(row["Y_IMAGE"]) - 1, round(row["X_IMAGE"]) - 1
            weights[y - 12 : y + 13, x - 12 : x + 13] = bad
        fits.PrimaryHDU(weights).writeto(tmp_path / f"{exposure.stem}.weight.fits")
    setup = tmp_path / "own.sex"
    text = Path(field.station.config["SEX_CONFIG"]).read_text()
    setup.write_text(text.replace("WEIGHT_TYPE      BACKGROUND", f"WEIGHT_TYPE {kind or 'BACKGROUND'}"))
    config = field.station.config.replace(WEIGHT_IMAGES=tmp_path, SEX_CONFIG=setup)
    again = recovered_of(field, exposures, found, station=replace(field.station, config=config))
    assert again.loc[row.name, "STATE"] == "on the edge"
    assert again.loc[row.name, "REASON"].startswith("0 % of its light")
    apart = np.hypot(rows["X_IMAGE"] - row["X_IMAGE"], rows["Y_IMAGE"] - row["Y_IMAGE"])
    elsewhere = (rows["CATALOG_NUMBER"] != CLOUDED_VISIT) | (apart > 60.0)
    pd.testing.assert_frame_equal(again[elsewhere], rows[elsewhere])


def test_copies_are_measured_in_the_place_of_the_exposures(field: Field, tmp_path: Path) -> None:
    """As with injected movers: there is more light in one copy, which has its pixels in another HDU."""
    exposures = field.left.linked.exposures
    found = field.left.detections[field.left.detections["CATALOG_NUMBER"] != CLOUDED_VISIT]
    rows = recovered_of(field, exposures, found)
    row = rows[rows["STATE"] == "measured"].iloc[0]
    copies = {}
    for number, exposure in enumerate(exposures, start=1):
        with fits.open(exposure.path) as hdus:
            data, header = hdus[0].data.astype(np.float32), hdus[0].header
        if number == CLOUDED_VISIT:
            y, x = round(row["Y_IMAGE"]) - 1, round(row["X_IMAGE"]) - 1
            data[y - 4 : y + 5, x - 4 : x + 5] = 60000.0
        copy = tmp_path / f"{number}.fits"
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(data, header)]).writeto(copy)
        copies[exposure.digest] = Prepared(image=copy, weight=None, hdus=(0,), heads=())
    photometry = photometry_of(field.left.linked, station=field.station)
    pixels = Pixels.of(field.left, photometry, station=field.station, copies=copies)
    table = found.assign(FIELD="F01", CANDIDATE="C")
    again = recovered(table, pixels, station=field.station)
    assert again.loc[row.name, "STATE"] == "saturated"
    elsewhere = (rows["CATALOG_NUMBER"] != CLOUDED_VISIT) | (
        np.hypot(rows["X_IMAGE"] - row["X_IMAGE"], rows["Y_IMAGE"] - row["Y_IMAGE"]) > 60.0
    )
    pd.testing.assert_frame_equal(again[elsewhere], rows[elsewhere])


def test_a_missing_file_leaves_its_trails_as_they_are(field: Field, tmp_path: Path) -> None:
    """With trails of every length measured, and one file gone."""
    config = field.station.config.replace(FIT_TRAILS=0.1)
    station = replace(field.station, config=config)
    exposures = list(field.left.linked.exposures)
    exposures[1] = exposures[1].at(str(tmp_path / "gone.fits"))
    left = replace(field.left, linked=replace(field.left.linked, exposures=tuple(exposures)))
    table, notes = with_trails(left.detections, pixels_of(field, left), station=station)
    (note,) = notes
    assert "gone.fits" in note
    of_it = (table["CATALOG_NUMBER"] == 2).to_numpy()
    assert not trail_rows(table)[of_it].any()
    assert trail_rows(table)[~of_it].mean() > 0.8


def test_stars_that_are_not_linked_serve_places_and_light_all_the_same(field: Field, tmp_path: Path) -> None:
    config = field.station.config.replace(REMOVE_REF_SOURCES=True, FIT_TRAILS=0.1)
    station = replace(field.station, config=config)
    left = linked_again(station, field.outcome.night, tmp_path / "link")
    assert len(left.linked.detections) < 0.5 * len(left.positions)
    key, names = ["CATALOG_NUMBER", "NUMBER"], ["RA", "DEC", "ERR_POSITION", "FLUX"]
    every, all_linked = (each.positions.set_index(key).sort_index()[names] for each in (left, field.left))
    # SCAMP writes the places of either pass into files of their own: a milliarcsecond
    pd.testing.assert_frame_equal(every[["RA", "DEC"]], all_linked[["RA", "DEC"]], rtol=0.0, atol=3e-7)
    pd.testing.assert_frame_equal(every, all_linked, rtol=1e-3)
    own = left.detections.set_index(key)[names]
    pd.testing.assert_frame_equal(own, every.loc[own.index], check_dtype=False)
    found, same = (
        with_trails(each.detections, pixels_of(field, each), station=station)[0].set_index(key)
        for each in (left, field.left)
    )
    assert trail_rows(found).mean() > 0.8
    off = (found["MAG_CALIB"] - same["MAG_CALIB"]).dropna().abs()
    assert len(off) > 0.9 * len(found)
    assert off.max() < 0.02


def test_without_a_calibration_there_is_light_and_no_magnitude(field: Field) -> None:
    pixels = pixels_of(field, field.left)
    exposures = pixels.photometry.exposures.assign(BAND="", PHOT_CAT="")
    bare = replace(pixels, photometry=replace(pixels.photometry, calibrations={}, exposures=exposures))
    found = field.left.detections
    missed = found[found["CATALOG_NUMBER"] != CLOUDED_VISIT].assign(FIELD="F01", CANDIDATE="C")
    measured, _ = with_trails(missed, bare, station=field.station)
    table = recovered(measured, bare, station=field.station)
    light = table[table["STATE"] == "measured"]
    assert len(light) >= 6
    assert np.isfinite(light["FLUX"]).all()
    assert light["MAG_CALIB"].isna().all()
    assert (table["BAND"] == "").all()


def test_what_was_seen_at_one_instant_has_no_prediction(field: Field) -> None:
    """As there is with every filter turned off."""
    found = field.left.detections
    rest = found[found["SOURCE_NUMBER"] != found["SOURCE_NUMBER"].iloc[0]]
    alone = found[found["SOURCE_NUMBER"] == found["SOURCE_NUMBER"].iloc[0]].iloc[:1]
    table = recovered_of(field, field.left.linked.exposures, pd.concat([alone, rest]))
    assert set(table["SOURCE_NUMBER"]) <= set(rest["SOURCE_NUMBER"])
    pixels = pixels_of(field, field.left)
    measured, notes = with_trails(alone, pixels, station=field.station)
    assert notes == []
    pd.testing.assert_frame_equal(measured[alone.columns], alone)
    assert recovered(measured.assign(FIELD="F", CANDIDATE="C"), pixels, station=field.station).empty


def test_reading_gives_what_was_written(field: Field, tmp_path: Path) -> None:
    rows = field.table
    write_recovered_csv(tmp_path / "a.csv", rows.sample(frac=1.0, random_state=1))
    assert (tmp_path / "a.csv").read_text() == (
        field.outcome.target / field.outcome.night / "recovered.csv"
    ).read_text()
    write_recovered_csv(tmp_path / "empty.csv", rows.iloc[:0])
    assert read_recovered_csv(tmp_path / "empty.csv").columns.tolist() == rows.columns.tolist()


def test_the_columns_are_documented() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "output.md").read_text()
    assert recovered_markdown() in page, "run `python -m ssosd.reports.recovered` and put it into the page"
    for state in STATES:
        assert f"| `{state}` |" in page


def test_false_ones_are_expected_among_the_candidates_that_are_left(field: Field) -> None:
    found = field.outcome.candidates.drop_duplicates("CANDIDATE")
    with Store(field.outcome.target / STORE_NAME) as store:
        (row,) = store.rows("SELECT n_false_expected FROM sequences")
    assert row["n_false_expected"] == pytest.approx(found["N_CHANCE"].clip(upper=1.0).sum(), rel=1e-4)
    assert row["n_false_expected"] > 0.0
