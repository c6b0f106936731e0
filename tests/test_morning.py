"""The morning report: who is looked at first, what stands still, the same bytes, nothing from outside trusted."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from ssosd.afterwards.rewrite import rewrite_night
from ssosd.analysis.blink import make_blink
from ssosd.analysis.stamps import Stamp
from ssosd.errors import BadInput, Misconfigured
from ssosd.model import Blink
from ssosd.plumbing.lock import TargetLock
from ssosd.reports.columns import CANDIDATE_COLUMNS
from ssosd.reports.morning.candidates import triage, with_residuals
from ssosd.reports.morning.night import figures, known_objects
from ssosd.reports.morning.page import morning_html
from ssosd.reports.recovered import RECOVERED_COLUMNS
from ssosd.reports.summary import night_summary
from ssosd.store import STORE_NAME, Store, utc_now
from tests import painted
from tests.night_store import NIGHT, night_of_work

EVIL = "<script>alert('&')</script>"
CHROMIUM = shutil.which("chromium")


def detections(
    name: str, *, rate: float = 30.0, state: str = "unknown", score: float = 5.0, n: int = 4
) -> pd.DataFrame:
    """A candidate on the equator, on a line to the east and south, with the columns of candidates.csv."""
    hours = np.arange(n) * 0.5
    blank = {c.name: "" if c.kind == "str" else np.nan for c in CANDIDATE_COLUMNS if c.always}
    return pd.DataFrame(
        {**blank, "CANDIDATE": name, "FIELD": EVIL, "SOURCE_NUMBER": 7, "CATALOG_NUMBER": np.arange(1, n + 1)}
        | {"RA": 10.0 + 0.8 * rate * hours / 3600, "DEC": - 0.6 * rate * hours / 3600}
        | {"MID_EXPOSURE_MJD": 61358.9 + hours / 24, "PM": rate, "PMRA": 0.8 * rate, "PMDEC": -0.6 * rate}
        | {"MATCH_STATE": state, "SCORE": score, "MAG": -9.0, "MAGERR": 0.1, "FILTER": "r", "ERRA_WORLD": 3e-5}
        | {"SKYBOT_NAME": EVIL if state == "matched" else "", "MAG_CALIB": 19.0 + 0.01 * hours, "BAND": "G"}
        | {"MAG_CALIB_ERR": 0.05, "LINKED_BY": "BOTH", "FLAGS_EXTRACTION": 16, "FLAGS_SCAMP": 0, "FLAGS_IMA": 0}
        | {"FLAGS_SSOS": 0, "IMAGE_FILENAME": EVIL},
    )  # fmt: skip


@pytest.fixture(scope="module")
def night() -> pd.DataFrame:
    found = [
        detections("F-0001", state="matched", score=15.0),
        detections("F-0002", score=3.0),
        detections("F-0003", score=8.0),
        detections("F-0004", rate=400.0, score=2.0),
        detections("F-0005", rate=90.0, state="unchecked", score=np.nan),
        detections("F-0006", rate=300.0, state="matched", score=9.0),
        detections("F-0007", state="possible", score=20.0),
        detections("F-0008", rate=500.0, score=30.0),
    ]
    return pd.concat(found, ignore_index=True)


@pytest.fixture
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    flags = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update"
    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=CHROMIUM, args=[*flags.split(), "--disable-sync", "--no-first-run"]
        )
        yield opened
        opened.close()


def page(candidates: pd.DataFrame, **more: object) -> str:
    summary = night_summary(
        night=NIGHT, files=[], exposures=[], sequences=[], members=[], candidates=[], rejections=[], drafts=[]
    )
    given = {"verdicts": {}, "blinks": {}, "quality": [], "expected": [], "sequences": [], "files": [EVIL]}
    given["missed"] = pd.DataFrame(columns=[name for name, *_ in RECOVERED_COLUMNS])
    given |= {"summary": summary, "candidates": candidates, "station": EVIL}
    return morning_html(**{**given, **more})


def test_fast_unknown_movers_come_first_and_artifacts_last(night: pd.DataFrame) -> None:
    shuffled = night.sample(frac=1.0, random_state=3)
    assert triage(shuffled, {"F-0008": "artifact", "F-0003": "asteroid"}) == [
        *("F-0004", "F-0005", "F-0003", "F-0002", "F-0007", "F-0001", "F-0006", "F-0008")
    ]  # fmt: skip
    html = page(shuffled)
    order = re.findall(r'<article id="c-(F-\d+)"', html)
    assert order[:3] == ["F-0008", "F-0004", "F-0005"]
    assert "3 fast and not known" in html
    assert html == page(night)


def test_what_looks_like_a_comet_and_is_not_known_comes_first(night: pd.DataFrame) -> None:
    comets = night["CANDIDATE"].isin(("F-0001", "F-0002"))
    extended = night.assign(EXTENDED=np.where(comets, 0.87, np.nan))
    assert triage(extended, {})[:5] == ["F-0008", "F-0002", "F-0004", "F-0005", "F-0003"]
    html = page(extended)
    assert "3 fast and not known" in html
    assert "1 extended and not known" in html  # the other is a known one
    assert html.count("0.87 mag more than a star") == 2


def test_nothing_from_outside_is_trusted_and_nothing_is_loaded(night: pd.DataFrame) -> None:
    blink = Blink(sheet=b"png", side_px=8, numbers=(1,), marks=((4.0, 4.0),), together=True)
    html = page(night.assign(FILTER=EVIL), blinks={"F-0001": blink})
    assert html.count("<script>") == 1  # our own
    assert "alert('" not in html
    assert "&lt;script&gt;" in html
    assert re.findall(r'(?:src|href)="(?!#|data:)([^"]*)"', html) == [
        "%3Cscript%3Ealert%28%27%26%27%29%3C/script%3E"
    ]
    assert "default-src 'none'" in html
    assert not re.search(r"https?://|url\(|@import", html)


def test_residuals_are_those_of_a_line_on_the_sky() -> None:
    table = detections("F-0001", rate=120.0, n=6)
    off = np.array([0.3, -0.2, 0.1, 0.0, -0.4, 0.2])
    table["RA"] += off * 0.6 / 3600  # across the motion alone
    table["DEC"] += off * 0.8 / 3600
    fitted = with_residuals(table.iloc[::-1])
    expected = off - np.polyval(np.polyfit(fitted["HOURS"], off, 1), fitted["HOURS"])
    np.testing.assert_allclose(np.abs(fitted["OFF_ACROSS"]), np.abs(expected), atol=2e-3)
    np.testing.assert_allclose(fitted["OFF_ALONG"], 0.0, atol=2e-3)
    np.testing.assert_allclose(fitted["FIT"], 120.0 * fitted["HOURS"], atol=0.2)


def test_known_objects_are_counted_brightest_first() -> None:
    row = {"number": "", "field": "A", "mag": 20.0}
    rows = [
        row | {"name": "a", "outcome": "too faint", "mag": None},
        row | {"name": "b", "outcome": "recovered"},
        row | {"name": "c", "outcome": "rejected", "mag": 21.0},
        row | {"name": "d", "outcome": "rejected", "mag": 18.0},
    ]
    known = known_objects(rows)
    assert (known.n, known.recovered) == (4, 1)
    assert known.outcomes == (("rejected", 2), ("too faint", 1))
    assert [r["name"] for r in known.missed] == ["d", "c", "a"]
    assert known_objects([]) is None


def test_what_wants_a_person_is_said_first(night: pd.DataFrame) -> None:
    row = dict.fromkeys(("exposure", "field", "filter", "why_not", "zero_point", "seeing_arcsec"), None)
    row |= {"limit_5sigma": None, "sky": None, "zero_point_err": None, "path": "/a.fits", "mjd_mid": 61358.9}
    quality = [row | {"file": f"{k}.fits", "why_not": "AST_CAT" if k else None} for k in range(3)]
    assert "No calibrated magnitudes in 2 of 3 exposures: AST_CAT" in page(night, quality=quality)
    assert "No calibrated magnitudes" not in page(night, quality=quality[:1])


def test_figures_of_the_night_take_gaps() -> None:
    row = {
        "exposure": "d",
        "field": "A",
        "filter": "r",
        "seeing_arcsec": 2.0,
        "sky": 100.0,
        "zero_point": None,
    }
    row |= {"zero_point_err": None, "limit_5sigma": None}
    drawn = figures([row | {"mjd_mid": 61358.9}, row | {"mjd_mid": 61358.95, "seeing_arcsec": None}])
    assert ["aria-label" in str(picture) for picture in drawn] == [True, True]  # seeing and sky alone
    assert figures([]) == []


def test_completeness_is_shown_when_it_was_measured() -> None:
    mags = [{"mag_low": m, "mag_high": m + 0.5, "injected": 8, "found": n} for m, n in ((20.0, 8), (20.5, 2))]
    rate = {"rate_low": 5.0, "rate_high": 20.0, "injected": 16, "found": 10, "half_mag": 20.55, "mags": mags}
    curve = {"band": "r", "injected": 16, "found": 10, "rates": [rate]}
    summary = night_summary(
        night=NIGHT, files=[], exposures=[], sequences=[], members=[], candidates=[], completeness=[curve]
    )
    html = page(pd.DataFrame(), summary=summary)
    assert "10 of 16 synthetic movers found" in html
    assert "<title>2 of 8</title>" in html
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert "Completeness" not in page(pd.DataFrame())


def stamp(star: tuple[float, float], mover: tuple[float, float], *, turn: float = 0.0) -> Stamp:
    """A cutout of 101 px on a grid of one scale, a star and a mover (arcsec east and north of the grid's middle)."""
    crpix = np.rint(np.array([51 + mover[0], 51 - mover[1]]))
    at = [(crpix[0] - e, crpix[1] + n) for e, n in (star, mover)]
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 20.0 + turn})
    header.update(
        {
            "CRPIX1": crpix[0],
            "CRPIX2": crpix[1],
            "CD1_1": -1 / 3600,
            "CD1_2": 0.0,
            "CD2_1": 0.0,
            "CD2_2": 1 / 3600,
        }
    )
    ra, dec = WCS(header).all_pix2world(*at[1], 1)
    header.update({"RATARGET": float(ra), "DETARGET": float(dec), "NAXIS1": 101, "NAXIS2": 101})
    pixels = painted.stars((101, 101), at, [3e4, 2e4], noise=2.0).astype(np.float32)
    return Stamp(pixels=pixels, header=header)


def brightest(sheet: bytes, side: int, k: int, near: tuple[float, float]) -> tuple[float, float]:
    """Centroid of the light around a place of a frame, pixels from the left and the top."""
    frame = np.asarray(Image.open(io.BytesIO(sheet)).convert("L"), dtype=float)[:, k * side : (k + 1) * side]
    rows, columns = np.indices(frame.shape)
    weight = np.where(np.hypot(columns - near[0], rows - near[1]) < 6, np.maximum(frame - 128, 0), 0.0)
    return (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()


def test_in_a_blink_the_stars_stand_still_and_the_mark_is_on_the_mover() -> None:
    movers = [(0.0, 0.0), (8.4, -5.3), (17.2, -10.9)]
    blink = make_blink({k: stamp((-12.0, 14.0), m) for k, m in enumerate(movers, start=1)})
    assert blink.together
    assert blink.numbers == (1, 2, 3)
    assert Image.open(io.BytesIO(blink.sheet)).size == (3 * blink.side_px, blink.side_px)
    stars = []
    for k, mark in enumerate(blink.marks):
        found = brightest(blink.sheet, blink.side_px, k, mark)
        assert np.hypot(found[0] - mark[0], found[1] - mark[1]) < 0.5
        # the star is 12 + 14 arcsec from the grid's middle: from the mark of the first, right and up
        first = blink.marks[0]
        stars.append(brightest(blink.sheet, blink.side_px, k, (first[0] + 12.0, first[1] - 14.0)))
    assert np.ptp(np.array(stars), axis=0).max() < 0.3
    assert blink.marks[2][0] < blink.marks[0][0]  # it goes east, to the left
    assert blink.marks[2][1] > blink.marks[0][1]  # and south, down


def test_a_blink_follows_what_is_too_fast_or_lies_on_another_grid() -> None:
    far = make_blink({k: stamp((0.0, 30.0), m) for k, m in enumerate([(0.0, 0.0), (200.0, 0.0)], start=1)})
    turned = make_blink({1: stamp((0.0, 30.0), (0.0, 0.0)), 2: stamp((0.0, 30.0), (5.0, 0.0), turn=0.001)})
    for blink in (far, turned):
        assert not blink.together
        for k, mark in enumerate(blink.marks):
            assert np.abs(np.array(mark) - blink.side_px / 2).max() <= 1.0
            found = brightest(blink.sheet, blink.side_px, k, mark)
            assert np.hypot(found[0] - mark[0], found[1] - mark[1]) < 0.5


def test_report_writes_a_night_again_or_leaves_it_to_the_daemon(tmp_path: Path) -> None:
    Store(tmp_path / STORE_NAME).close()
    with pytest.raises(BadInput, match="no exposures"):
        rewrite_night(tmp_path, night=None)
    night_of_work(tmp_path)
    with pytest.raises(BadInput, match="2026-11-13, 2026-11-14"):
        rewrite_night(tmp_path, night="2026-01-01")
    done = rewrite_night(tmp_path, night=None)
    assert done.written
    text = done.page.read_text(encoding="utf-8")
    assert "Night of 2026-11-14" in text
    assert "C is parked: 2 usable exposures, 3 are needed" in text
    assert rewrite_night(tmp_path, night=NIGHT).page.read_text(encoding="utf-8") == text
    with TargetLock(tmp_path, purpose="run", now=utc_now()):
        assert not rewrite_night(tmp_path, night=None).written
    with Store(tmp_path / STORE_NAME) as store:
        assert NIGHT in store.unwritten_nights()
    with (
        TargetLock(tmp_path, purpose="inspect", now=utc_now()),
        pytest.raises(Misconfigured, match="in use by ssosd inspect"),
    ):
        rewrite_night(tmp_path, night=None)  # which writes the nights that it judged


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
def test_in_a_browser_it_blinks_and_asks_for_nothing(
    night: pd.DataFrame, tmp_path: Path, browser: Any
) -> None:
    movers = [(0.0, 0.0), (8.4, -5.3), (17.2, -10.9)]
    blink = make_blink({k: stamp((-12.0, 14.0), m) for k, m in enumerate(movers, start=1)})
    path = tmp_path / "report.html"
    path.write_text(page(night, blinks={"F-0008": blink}), encoding="utf-8")
    said: list[str] = []
    asked: list[str] = []
    tab = browser.new_page()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(path.as_uri())
    strip = tab.locator(".blink svg").first
    strip.scroll_into_view_if_needed()

    def frame() -> int:
        place = strip.evaluate(
            "e => new DOMMatrix(getComputedStyle(e).transform).e / e.getBoundingClientRect().width"
        )
        return round(-3 * place)

    assert {tab.wait_for_timeout(150) or frame() for _ in range(12)} == {0, 1, 2}
    tab.keyboard.press(" ")
    assert len({tab.wait_for_timeout(150) or frame() for _ in range(6)}) == 1
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
def test_on_a_telephone_names_and_times_stay_whole_and_nothing_is_cut_off(
    night: pd.DataFrame, tmp_path: Path, browser: Any
) -> None:
    path = tmp_path / "report.html"
    path.write_text(page(night), encoding="utf-8")
    tab = browser.new_page(viewport={"width": 400, "height": 900})
    tab.goto(path.as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    tops = tab.evaluate(
        """[...document.querySelectorAll('td a, .whole')].map(e => {
          const range = document.createRange();
          range.selectNodeContents(e);
          return [e.textContent, new Set([...range.getClientRects()].map(r => r.top)).size];
        })"""
    )
    assert {"F-0001", "2026-11-14 21:36:00"} <= {text for text, _ in tops}
    assert {lines for _, lines in tops} == {1}
    beyond = "e => e.getBoundingClientRect().right > innerWidth && !e.closest('.scroll, svg')"
    assert tab.evaluate(f"[...document.querySelectorAll('body *')].filter({beyond}).length") == 0
