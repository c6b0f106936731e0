"""Astrometry of one exposure by itself, against the true sky and against SCAMP's joint solution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from ssosd import astromatic
from ssosd.config import load_config
from ssosd.errors import BadInput
from ssosd.intake import take_in
from ssosd.linker.refcat import read_reference, write_reference
from ssosd.linker.scamp.input import load_frame
from ssosd.linker.scamp.link import Linked
from ssosd.linker.solution import ExposureSolution, read_solution_file, write_solution
from ssosd.linker.solve import solve_exposure
from ssosd.linker.star_match import Affine, match_stars
from ssosd.linker.start import corrected, how_turned, sky_of
from ssosd.model import Catalogue
from ssosd.plumbing.resources import shipped
from ssosd.site import site_from_code
from ssosd.sphere import from_offsets_arcsec, offsets_arcsec, separation_arcsec, unit_vectors
from ssosd.station import Station
from ssosd.work import extract_exposure, key_of, linking
from ssosd.work.linking import link_candidates
from ssosd.work.solving import solve_ahead, starts
from tests import test_scamp_sift as bad
from tests.ldac_sky import Mover, Sky, Written, link_sky
from tests.replaying import QUICK
from tests.sky import small_sky

MOVER = Mover(ra=34.5, dec=13.6, pmra=20.0, pmdec=-10.0)


def solved(written: Written, folder: Path, index: int = 0, **changes: Any) -> ExposureSolution:
    """An exposure of a written sky, solved with the shipped set-up."""
    arguments: dict[str, Any] = {
        "exposure": written.exposures[index],
        "catalogue": written.catalogues[index],
        "binary": astromatic.find("scamp"),
        "config": shipped("semp/ssos.scamp"),
        "reference": written.reference,
        "crossid_radius_arcsec": None,
        "scratch": folder,
        "time_limit_s": 60.0,
    }
    return solve_exposure(**{**arguments, **changes})


def starts_of(written: Written, folder: Path) -> Mapping[str, Any]:
    found = {e.digest: solved(written, folder, i) for i, e in enumerate(written.exposures)}
    return {digest: s.start() for digest, s in found.items() if s.solved}


def with_cd(index, chip, header, objects):
    """Headers as ssosd writes them: a CD matrix."""
    for i in (1, 2):
        for j in (1, 2):
            header[f"CD{i}_{j}"] = header[f"CDELT{i}"] * header.pop(f"PC{i}_{j}", float(i == j))
    del header["CDELT1"], header["CDELT2"]
    return objects


def test_a_correction_leaves_the_header_as_it_is():
    """SCAMP is given the header where the corrected one leaves a doubt."""
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 60.0})
    header.update({"CRPIX1": 1.0, "CRPIX2": 1.0, "CD1_1": -1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4})
    before = header.copy()
    east = Affine(matrix=np.eye(2), shift=np.array([3.6, 0.0]))
    (new,) = corrected([header], east, ra_deg=10.0, dec_deg=60.0)
    assert new["CRVAL1"] == pytest.approx(10.002, abs=1e-7)
    assert header == before


def off_from_truth(written: Written, solution: ExposureSolution, index: int = 0) -> np.ndarray:
    """How far (arcsec) each detection of an exposure is from the star or mover it is."""
    frame = load_frame(written.exposures[index], written.catalogues[index])
    ra, dec = sky_of(frame, solution.start())
    movers = written.truth[written.truth["digest"] == written.exposures[index].digest]
    ra_true = np.concatenate([written.stars["RA"], movers["ra"]])
    dec_true = np.concatenate([written.stars["DEC"], movers["dec"]])
    return np.array([separation_arcsec(r, d, ra_true, dec_true).min() for r, d in zip(ra, dec, strict=True)])


@pytest.mark.binaries
@pytest.mark.parametrize(
    ("ra", "dec", "chips", "error", "method"),
    [
        (34.5, 13.6, 1, 20.0, "stars"),
        (34.5, 13.6, 1, 120.0, "stars"),  # twice POSITION_MAXERR
        (0.001, -30.0, 2, 20.0, "stars"),
        (120.0, 89.9, 1, 1.0, "stars"),
        (120.0, 89.9, 1, 20.0, "scamp"),  # which turns the field by degrees
    ],
)
def test_an_exposure_is_put_on_its_stars(tmp_path, ra, dec, chips, error, method):
    sky = Sky(
        ra=ra, dec=dec, chips=chips, hdus=range(chips), n_stars=400, pointing_error=error, spoil=with_cd
    )
    written = sky.write(tmp_path / "in")
    found = solved(written, tmp_path)
    assert found.method == method
    assert len(found.headers) == chips
    assert off_from_truth(written, found).max() < 5.0 * sky.noise_px
    assert found.rms_arcsec == pytest.approx(sky.noise_px, rel=0.5)
    assert found.n_matched > 0.9 * found.n_detections
    path = tmp_path / "one.solution"
    write_solution(path, found, key="k")
    kept = read_solution_file(path, key="k")
    assert replace(kept, contrast=0.0) == replace(found, contrast=0.0)
    assert read_solution_file(path, key="another") is None
    path.write_text(path.read_text()[:-20])
    assert read_solution_file(path, key="k") is None


@pytest.mark.binaries
@pytest.mark.parametrize(
    ("spoiler", "reason"),
    [case for case in bad.BAD if case[0] not in (bad.upside_down, bad.mirrored)],
    ids=lambda v: getattr(v, "__name__", None),
)
def test_what_does_not_match_is_not_solved(tmp_path, spoiler, reason):
    """By neither way, and for the reason for which its sequence leaves it out."""

    def spoil(index, chip, header, objects):
        return spoiler(header, with_cd(index, chip, header, objects) if "PC1_1" in header else objects)

    if spoiler in (bad.wrong_scale, bad.without_wcs):

        def spoil(index, chip, header, objects):
            return spoiler(header, objects)

    written = Sky(ra=34.5, dec=13.6, n_exposures=1, spoil=spoil).write(tmp_path / "in")
    found = solved(written, tmp_path)
    assert (found.method, found.headers, found.solved) == ("", (), False)
    assert reason in found.reason


def turned(angle_deg, *, mirror=False):
    """Headers of a CD matrix that do not know of a rotation, or of a mirror."""
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    change = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirror else 1.0, 1.0])

    def spoil(header):
        matrix = np.array([[header[f"CD{i}_{j}"] for j in (1, 2)] for i in (1, 2)]) @ change
        for (i, j), value in np.ndenumerate(matrix):
            header[f"CD{i + 1}_{j + 1}"] = float(value)

    return spoil


WAYS = [(180.0, False, "stars"), (0.0, True, "stars"), (180.0, True, "stars"), (37.0, False, "scamp"),
        (-90.0, False, "scamp")]  # fmt: skip


@pytest.mark.binaries
@pytest.mark.parametrize(("angle", "mirror", "method"), WAYS)
def test_headers_that_do_not_know_how_the_camera_stands(tmp_path, angle, mirror, method):
    """After a meridian flip, from a program that writes the rows from the top, after the camera was off."""

    def spoil(index, chip, header, objects):
        objects = with_cd(index, chip, header, objects)
        turned(angle, mirror=mirror)(header)
        return objects

    sky = Sky(ra=34.5, dec=13.6, n_exposures=1, n_stars=400, pointing_error=20.0, spoil=spoil)
    written = sky.write(tmp_path / "in")
    found = solved(written, tmp_path)
    assert found.method == method
    assert off_from_truth(written, found).max() < 5.0 * sky.noise_px
    assert found.n_matched > 0.9 * found.n_detections
    header = load_frame(written.exposures[0], written.catalogues[0]).headers[0]
    said = how_turned(header, found.start()[0], more_than_deg=5.0)
    assert said == ("mirrored" if mirror else f"turned by {abs(angle):.0f} deg")


@pytest.mark.binaries
def test_turned_exposures_are_linked_with_the_others_and_one_that_is_bad_left_out(tmp_path):
    """A meridian flip after the second of six; without a solution of each SCAMP matches patterns anew."""

    def spoil(index, chip, header, objects):
        objects = with_cd(index, chip, header, objects)
        if index == 0:
            return bad.random_places(header, objects)
        if index > 2:
            turned(180.0)(header)
        return objects

    sky = Sky(ra=34.5, dec=13.6, movers=[MOVER], n_exposures=6, chips=2, hdus=range(2), spoil=spoil)
    written = sky.write(tmp_path / "in")
    true = {e.digest: e.chips for e in written.exposures}
    # the chips of a header that is turned by half have changed places
    told = [replace(e, chips=swapped(e.chips)) if i > 2 else e for i, e in enumerate(written.exposures)]
    written = replace(written, exposures=told)
    linked = link_sky(written, tmp_path / "out", starts=starts_of(written, tmp_path))
    assert [d.digest for d in linked.dropped] == [written.exposures[0].digest]
    assert linked.doubtful[0].endswith(
        ": turned by 180 deg against what the headers say, and solved all the same"
    )
    assert linked.doubtful[0].count(", ") == 3
    for exposure in linked.exposures:
        for chip, there in zip(exposure.chips, true[exposure.digest], strict=True):
            assert separation_arcsec(chip.ra_deg, chip.dec_deg, there.ra_deg, there.dec_deg) < 5.0


def swapped(chips):
    """Two chips, each with the place of the other."""
    first, second = ({"ra_deg": c.ra_deg, "dec_deg": c.dec_deg, "corners_deg": c.corners_deg} for c in chips)
    return replace(chips[0], **second), replace(chips[1], **first)


@pytest.mark.binaries
@pytest.mark.parametrize("radius", [3.0, 10.0, 40.0])
def test_from_single_solutions_scamp_comes_to_the_same(tmp_path, radius):
    sky = Sky(
        ra=34.5, dec=13.6, n_stars=400, movers=[MOVER], n_exposures=5, rotation_error=0.5, spoil=with_cd
    )
    written = sky.write(tmp_path / "in")
    anew = link_sky(written, tmp_path / "anew", crossid_radius_arcsec=radius)
    from_there = link_sky(
        written, tmp_path / "out", crossid_radius_arcsec=radius, starts=starts_of(written, tmp_path)
    )
    assert from_there.quality["XY_CONTRAST"].isna().all()  # no pattern was matched
    for name in ("SOURCE_NUMBER", "CATALOG_NUMBER", "NUMBER"):
        pd.testing.assert_series_equal(from_there.detections[name], anew.detections[name])
    off = separation_arcsec(*(t.detections[c] for t in (anew, from_there) for c in ("RA", "DEC")))
    assert off.max() < 0.002


@pytest.mark.binaries
def test_without_a_solution_of_each_exposure_all_is_matched_anew(tmp_path):
    def spoil(index, chip, header, objects):
        objects = with_cd(index, chip, header, objects)
        return bad.random_places(header, objects) if index == 2 else objects

    written = Sky(ra=34.5, dec=13.6, movers=[MOVER], n_exposures=5, spoil=spoil).write(tmp_path / "in")
    single = starts_of(written, tmp_path)
    assert set(single) == {e.digest for i, e in enumerate(written.exposures) if i != 2}
    anew = link_sky(written, tmp_path / "anew")
    linked = link_sky(written, tmp_path / "out", starts=single)
    assert [d.digest for d in linked.dropped] == [written.exposures[2].digest]
    pd.testing.assert_frame_equal(linked.detections, anew.detections, check_exact=True)


@pytest.mark.binaries
def test_a_wrong_solution_is_not_believed(tmp_path):
    """As after an error of ours: SCAMP does not match from there, and matches anew."""
    written = Sky(ra=34.5, dec=13.6, n_stars=400, n_exposures=3, spoil=with_cd).write(tmp_path / "in")
    wrong = dict(starts_of(written, tmp_path))
    for header in wrong[written.exposures[1].digest]:
        header["CRVAL2"] += 60.0 / 3600.0
    anew = link_sky(written, tmp_path / "anew")
    linked = link_sky(written, tmp_path / "out", starts=wrong)
    pd.testing.assert_frame_equal(linked.detections, anew.detections, check_exact=True)


@pytest.mark.binaries
def test_a_globular_cluster_in_the_field(tmp_path):
    """The reference has its stars one by one and not all others, the exposure one blend of them."""
    written = Sky(ra=34.5, dec=13.6, n_stars=300, n_exposures=3, spoil=with_cd).write(tmp_path / "in")
    rng = np.random.default_rng(13)
    ra, dec = from_offsets_arcsec(*rng.normal(0.0, 40.0, (2, 1500)), 34.5, 13.6)
    cluster = pd.DataFrame({"RA": ra, "DEC": dec, "MAG": rng.uniform(14.0, 18.0, 1500)})
    reference = tmp_path / "cluster.cat"
    write_reference(reference, pd.concat([written.stars[::3], cluster], ignore_index=True), epoch=2026.0)
    found = {
        e.digest: solved(written, tmp_path, i, reference=reference) for i, e in enumerate(written.exposures)
    }
    for i, solution in enumerate(found.values()):
        assert solution.method == "stars"
        assert solution.fraction < 0.5
        assert off_from_truth(written, solution, i).max() < 0.5
    starts = {digest: solution.start() for digest, solution in found.items()}
    assert not link_sky(written, tmp_path / "out", reference=reference, starts=starts).dropped


def test_a_reference_elsewhere(tmp_path):
    written = Sky(ra=34.5, dec=13.6, n_exposures=1, spoil=with_cd).write(tmp_path / "in")
    other = Sky(ra=95.0, dec=-38.0, n_exposures=1).write(tmp_path / "other")
    found = solved(written, tmp_path, reference=other.reference)
    assert "has 0 stars over its field at RA 34.5" in found.reason
    (tmp_path / "no.cat").write_text("no")
    with pytest.raises(BadInput, match=r"no\.cat|not a"):
        solved(written, tmp_path, reference=tmp_path / "no.cat")


class _Station:
    """What `starts` needs of a station."""

    solve_settings = "s"
    site = site_from_code("688")

    def __init__(self, reference: Path | str, scratch: Path) -> None:
        self.scratch = scratch
        self.binaries = {"scamp": astromatic.find("scamp")}
        self.config = {
            "SCAMP_CONFIG": shipped("semp/ssos.scamp"),
            "ASTREF_CATALOG": reference,
            "CROSSID_RADIUS": None,
            "SCAMP_TIME_LIMIT": 60.0,
        }


def catalogues_of(written: Written) -> dict[str, Catalogue]:
    return {
        e.digest: Catalogue(path=str(p), key=p.stem, n_detections=1, fwhm_px=2.0, background=0.0)
        for e, p in zip(written.exposures, written.catalogues, strict=True)
    }


@pytest.mark.binaries
def test_a_kept_solution_and_one_made_again_are_the_same(tmp_path):
    written = Sky(ra=34.5, dec=13.6, n_exposures=3, spoil=with_cd).write(tmp_path / "in")
    catalogues, exposures = catalogues_of(written), written.exposures
    station: Any = _Station(written.reference, tmp_path)
    solve_ahead(exposures[0], catalogues[exposures[0].digest], station=station)
    (kept,) = written.catalogues[0].parent.glob("*.solution")
    first = kept.read_bytes()
    found = starts(exposures, catalogues, station=station)
    assert set(found) == {e.digest for e in exposures}
    kept.unlink()
    for path in written.catalogues[1].parent.glob("frame-002*.solution"):
        path.write_text("{}")
    again = starts(exposures[::-1], catalogues, station=station)
    assert kept.read_bytes() == first
    text = {d: [h.tostring() for h in headers] for d, headers in found.items()}
    assert {d: [h.tostring() for h in headers] for d, headers in again.items()} == text


@pytest.mark.binaries
def test_a_field_that_scamp_bends_is_solved_with_closer_pairs(tmp_path, monkeypatch):
    """Few stars and a large CROSSID_RADIUS: wrong by 0.5 arcsec and told so, right from single solutions."""
    night = small_sky(tmp_path / "sky", size_px=(448, 448), stars=80, seed=3, exposures=5)
    given = {**QUICK, "ASTREF_CATALOG": str(night.refcat), "CROSSID_RADIUS": "25"}
    station = Station.open(load_config(None, overrides=given, cwd=tmp_path), tmp_path / "out")
    exposures = [take_in(path, station=station).exposure for path in sorted(night.directory.glob("*.fits"))]
    found = {
        e.digest: extract_exposure(e, night="n", key=key_of(e, station=station), station=station)
        for e in exposures
    }
    stars = cKDTree(unit_vectors(*read_reference(night.refcat)[["RA", "DEC"]].to_numpy().T))

    def linked(name: str) -> tuple[Linked, float]:
        (tmp_path / name).mkdir()
        done = link_candidates(
            exposures, found, workdir=tmp_path / name, station=station, progress=lambda _: None
        ).linked
        bright = done.detections[done.detections["SNR_WIN"] > 30]
        away, _ = stars.query(unit_vectors(bright["RA"], bright["DEC"]))
        return done, 3600.0 * float(np.degrees(np.median(away)))

    right, off = linked("right")
    assert right.doubtful == ()
    assert off < 0.1
    assert right.detections.groupby("SOURCE_NUMBER")["CATALOG_NUMBER"].nunique().max() == 5
    monkeypatch.setattr(linking, "starts", lambda *_, **__: {})
    wrong, off = linked("wrong")
    assert off > 0.3
    assert len(wrong.doubtful) == 5
    assert "scatter by 0." in wrong.doubtful[0]


def test_nothing_is_solved_ahead_that_cannot_be(tmp_path):
    written = Sky(ra=34.5, dec=13.6, n_exposures=1, spoil=with_cd).write(tmp_path / "in")
    (exposure,), catalogues = written.exposures, catalogues_of(written)
    for reference in (tmp_path / "gone.cat", "GAIA-EDR3", written.catalogues[0].with_suffix(".ahead")):
        station: Any = _Station(reference, tmp_path)
        solve_ahead(exposure, catalogues[exposure.digest], station=station)
    assert not list((tmp_path / "in").glob("*.solution"))
    online: Any = _Station("GAIA-EDR3", tmp_path)
    assert starts([exposure], catalogues, station=online) == {}


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(40, 600),
    angle=st.floats(-0.3, 0.3),
    scale=st.floats(0.998, 1.002),
    shift=st.tuples(st.floats(-42, 42), st.floats(-42, 42)),
    junk=st.floats(0.0, 1.5),
)
def test_the_match_finds_what_was_done_to_the_stars(seed, n, angle, scale, shift, junk):
    """Shift, rotation and scale, with stars missing on either side and with detections that are none."""
    rng = np.random.default_rng(seed)
    stars = rng.uniform(-700, 700, (n, 2))
    mag = rng.uniform(12, 20, n)
    inside = np.flatnonzero((np.abs(stars) < 500).all(axis=1) & (rng.random(n) < 0.9))
    turn = np.radians(angle)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    measured = np.linalg.solve(matrix, (stars[inside] - np.array(shift)).T).T
    measured += rng.normal(0.0, 0.05, measured.shape)
    false = rng.uniform(-500, 500, (int(junk * len(inside)), 2))
    points = np.concatenate([measured, false])
    flux = 10.0 ** (-0.4 * np.concatenate([mag[inside], rng.uniform(15, 20, len(false))]))
    found = match_stars(points, flux, stars, mag, pointing_arcsec=60.0, radius_arcsec=1.5)
    if len(inside) < 30:
        assert found is None or found.rms_arcsec[0] < 1.0
        return
    assert found is not None
    true = points[: len(inside)] @ matrix.T + np.array(shift)
    assert np.hypot(*(found.affine.apply(points[: len(inside)]) - true).T).max() < 0.1
    assert found.affine.rotation_deg == pytest.approx(angle, abs=0.02)
    assert found.affine.scale_ratio == pytest.approx(scale, abs=2e-4)


def test_saturated_stars_vote_and_are_not_fitted():
    """A wide field: more stars are saturated than have a voice, and those that are not are not the brightest."""
    rng = np.random.default_rng(4)
    stars = rng.uniform(-4000, 4000, (12_000, 2))
    mag = rng.uniform(10, 18, len(stars))
    saturated = mag < 11.0
    points = stars - [13.0, -21.0] + rng.normal(0.0, np.where(saturated, 0.7, 0.05)[:, None], stars.shape)
    flux = 10.0 ** (-0.4 * mag)
    given = {"pointing_arcsec": 60.0, "radius_arcsec": 1.5}
    assert match_stars(points[~saturated], flux[~saturated], stars, mag, **given) is None
    found = match_stars(points, flux, stars, mag, good=~saturated, **given)
    assert found is not None
    np.testing.assert_allclose(found.affine.shift, [13.0, -21.0], atol=0.01)
    assert (found.pairs[:, 0] == found.pairs[:, 1]).all()
    assert not saturated[found.pairs[:, 0]].any()
    assert max(found.rms_arcsec) < 0.06


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 500), m=st.integers(0, 2000))
def test_places_that_are_no_stars_are_not_matched(seed, n, m):
    rng = np.random.default_rng(seed)
    points, stars = rng.uniform(-500, 500, (n, 2)), rng.uniform(-700, 700, (m, 2))
    found = match_stars(
        points, rng.uniform(1, 2, n), stars, rng.uniform(12, 20, m), pointing_arcsec=60.0, radius_arcsec=1.5
    )
    assert found is None or len(found.pairs) < max(12, 0.2 * min(n, m))


def test_the_plane_and_back():
    rng = np.random.default_rng(1)
    for ra0, dec0 in ((0.0, 0.0), (359.999, 45.0), (12.0, 90.0), (200.0, -89.99)):
        xi, eta = rng.uniform(-3000, 3000, (2, 100))
        back = offsets_arcsec(*from_offsets_arcsec(xi, eta, ra0, dec0), ra0, dec0)
        np.testing.assert_allclose(back, [xi, eta], atol=1e-6)
