"""The zoo: headers of many observatories. Each is an exposure, or has a reason that a person agrees with."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from pathlib import Path

import pytest

from ssosd.errors import BadInput
from ssosd.ingest.exposure import read_exposure
from ssosd.model import Exposure, HeaderKeywords, is_fits_name

pytestmark = pytest.mark.shared
BLOCK, CARD = 2880, 80
MAX_SIDE = 48  # headers without pixels get small ones

#: What is said, by kind.
REASONS = {
    "no WCS": r"no WCS: ",
    "WCS unusable": r"WCS incomplete|WCS cannot|WCS singular|WCS impossible|no WCS scale|names no projection",
    "no time": r"no time of observation",
    "no exposure time": r"no exposure time: ",
    "exposure time is not positive": r"is no exposure time",
    "no image, only tables": r"no HDU holds an image",
    "image is no sky field": r"is no sky field|a cube|zero-size",
    "damaged or no FITS": r"truncated|not a FITS file|damaged",
}


def read(path: Path) -> tuple[str, Exposure | None]:
    """Outcome by kind; anything but an exposure or BadInput, a Python warning too, fails the test."""
    error = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            exposure = read_exposure(path, keywords=HeaderKeywords(), extensions=None)
        except BadInput as refusal:
            error = refusal
    if error is not None:
        assert error.message.startswith(path.name)
        assert "\n" not in str(error)
        assert error.next_step
        kinds = [kind for kind, pattern in REASONS.items() if re.search(pattern, error.message)]
        assert kinds, error.message
        return kinds[0], None
    check(exposure)
    return "exposure", exposure


def check(exposure: Exposure) -> None:
    """What holds for every exposure."""
    assert exposure.exptime_s > 0.0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}", exposure.date_obs)
    assert 45000.0 < exposure.mjd_start < exposure.mjd_mid
    assert 0.0 <= exposure.ra_deg < 360.0
    assert -90.0 <= exposure.dec_deg <= 90.0
    assert 0.0 < exposure.width_deg < 30.0
    assert 0.0 < exposure.height_deg < 30.0
    assert all(0.01 < chip.scale_arcsec < 60.0 for chip in exposure.chips)
    assert all("\n" not in warning for warning in exposure.warnings)


def fits_of_text(text: str) -> bytes:
    """A FITS file of header text in lines, with the images cut down to small ones full of zeros."""
    hdus: list[list[str]] = []
    for line in text.splitlines():
        if re.match(r"SIMPLE  =|XTENSION=", line):
            hdus.append([])
        if hdus and re.match(r"[A-Z0-9_-]{1,8} *=|HIERARCH |CONTINUE  |COMMENT|HISTORY", line):
            hdus[-1].append(line[:CARD].ljust(CARD))
    return b"".join(_hdu(cards) for cards in hdus)


def _hdu(cards: list[str]) -> bytes:
    found = {card[:8].strip(): card[10:].split("/")[0].strip() for card in cards}
    for key, value in (("BITPIX", 8), ("NAXIS", 0)):
        if key not in found:
            found[key] = str(value)
            cards = [*cards, f"{key:<8}= {value:>20}".ljust(CARD)]
    size = abs(int(found["BITPIX"])) // 8 if int(found["NAXIS"]) else 0
    small = {"PCOUNT": 0}
    for n in range(1, int(found["NAXIS"]) + 1):
        small[f"NAXIS{n}"] = min(int(float(found[f"NAXIS{n}"])), MAX_SIDE)
        size *= small[f"NAXIS{n}"]
    body = "".join(
        f"{key:<8}= {small[key]:>20}".ljust(CARD) if (key := card[:8].strip()) in small else card
        for card in cards
    )
    head = body + "END".ljust(CARD)
    head = head.ljust(-(-len(head) // BLOCK) * BLOCK)
    return head.encode("latin-1", "replace") + bytes(-(-size // BLOCK) * BLOCK)


def test_fits_files(shared_data, capsys):
    outcomes: Counter[str] = Counter()
    cameras = set()
    for path in sorted((shared_data / "headers").rglob("*")):
        if is_fits_name(path.name):
            kind, exposure = read(path)
            outcomes[kind] += 1
            cameras |= {exposure.instrument} if exposure else set()
    assert capsys.readouterr() == ("", "")
    assert outcomes.total() > 100
    assert outcomes["exposure"] >= 45
    assert {"DECam", "MegaPrime"} <= cameras
    assert outcomes["no WCS"] >= 15
    assert outcomes["exposure time is not positive"] >= 5  # bias frames
    assert outcomes["no image, only tables"] >= 10
    assert outcomes["WCS unusable"] == 0


def test_header_texts(shared_data, tmp_path):
    outcomes: Counter[str] = Counter()
    for source in sorted((shared_data / "headers").rglob("*.header*")):
        path = tmp_path / f"{source.name.split('.fits')[0]}.fits"
        path.write_bytes(fits_of_text(source.read_text("latin-1")))
        outcomes[read(path)[0]] += 1
        path.unlink()
    assert outcomes.total() > 250
    assert outcomes["exposure"] >= 90
    assert outcomes["no WCS"] >= 70  # the spectrographs of the DAO, raw NEOSSat and OMM frames
    assert outcomes["no time"] >= 16
    assert outcomes["damaged or no FITS"] == 0
    assert 1 <= outcomes["WCS unusable"] <= 6  # two have CD1_1 = -3E-55


@pytest.mark.parametrize(
    ("name", "date_obs", "exptime_s", "band", "said"),
    [
        ("cutout-1616687p.fits", "2013-04-09T09:19:16.500", 287.083, "r.MP9601", "UTC-OBS"),  # CFHT
        ("dss_test2.fits", "1988-04-15T18:42:00.000", 240.0, "", "minutes"),  # a scanned plate
        ("center_cutout_1.fits", "2018-08-23T05:55:39.000", 90.0, "r", "TAN-SIP"),  # amateur CCD
        ("swope_test_frame.fits", "2022-09-25T03:26:46.000", 10.0, "r", ""),
    ],
)
def test_some_by_hand(shared_data, name, date_obs, exptime_s, band, said):
    (path,) = (shared_data / "headers").rglob(name)
    exposure = read_exposure(path, keywords=HeaderKeywords(), extensions=None)
    assert (exposure.date_obs, exposure.exptime_s, exposure.filter) == (date_obs, exptime_s, band)
    assert said in " ".join(exposure.warnings)
