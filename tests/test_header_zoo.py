"""The zoo: headers of many observatories. Each is an exposure, or has a reason that a person agrees with.

`header_zoo.txt` has a line for each file: what became of it, and its time, exposure time, filter and place or
the reason. After a change that means to change one, look at the difference that

    python -m tests.test_header_zoo FOLDER > tests/header_zoo.txt

makes, line by line.
"""

from __future__ import annotations

import re
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from ssosd.config import load_config
from ssosd.headermap import load_map
from ssosd.ingest.exposure import read_exposure
from ssosd.intake import take_in
from ssosd.model import Exposure, HeaderKeywords, is_fits_name

BLOCK, CARD = 2880, 80
MAX_SIDE = 48  # headers without pixels get small ones
PINNED = Path(__file__).with_name("header_zoo.txt")
#: What is said of files that are parked, by kind.
REASONS = {
    "no image, only tables or headers": r"no HDU holds",
    "a spectrum or a cube": r"is no sky field|a cube",
    "no WCS and no pointing": r"no WCS[:,]",
    "no exposure time": r"no exposure time",
    "not a FITS file": r"not a FITS file",
}


def verdict(path: Path, folder: Path) -> str:
    """What becomes of a file with everything as it comes; a Python warning fails the test."""
    source = path
    if is_header_text(path):
        source = folder / f"{path.name.split('.fits')[0]}.fits"
        source.write_bytes(fits_of_text(path.read_text("latin-1")))
    station = SimpleNamespace(
        config=load_config(None, overrides={}, cwd=folder),
        keywords=HeaderKeywords(),
        saturation_key="SATURATE",
        header_map=load_map("SHIPPED"),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        taken = take_in(source, station=station)
    if taken.ignored:
        return f"ignored   {taken.ignored}"
    if taken.exposure is None:
        assert taken.error is not None
        assert taken.error.message.startswith(source.name)
        assert "\n" not in str(taken.error)
        assert taken.error.next_step
        return f"parked    {taken.error.message.partition(': ')[2]}"
    e = taken.exposure
    check(e)
    made = "  rough WCS" if "no usable WCS" in " ".join(e.warnings) else ""
    return (
        f"exposure  {e.date_obs[:19]}  {e.exptime_s:g} s  {e.filter or 'no filter'}  "
        f'{e.ra_deg:.2f} {e.dec_deg:+.2f}  {len(e.chips)} x {e.chips[0].scale_arcsec:.3g}"/px{made}'
    )


def is_header_text(path: Path) -> bool:
    """Whether a file is a header's text; those of MIDAS are called so too."""
    return ".header" in path.name


def verdicts(folder: Path) -> dict[str, str]:
    """Of every FITS file and header text of the zoo, by its path."""
    with tempfile.TemporaryDirectory() as room:
        return {
            str(path.relative_to(folder)): verdict(path, Path(room))
            for path in sorted(folder.rglob("*"))
            if path.is_file() and (is_fits_name(path.name) or is_header_text(path))
        }


@pytest.fixture(scope="module")
def zoo(shared_data: Path) -> dict[str, str]:
    return verdicts(shared_data / "headers")


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


def pinned() -> dict[str, str]:
    lines = PINNED.read_text(encoding="utf-8").splitlines()
    return {path: said for said, _, path in (line.rpartition("  <- ") for line in lines)}


@pytest.mark.shared
def test_every_file_is_as_it_was_judged(zoo):
    assert zoo == pinned()


@pytest.mark.shared
def test_every_reason_is_one_that_was_looked_at(zoo):
    kinds: Counter[str] = Counter()
    for said in zoo.values():
        outcome, _, reason = said.partition("  ")
        if outcome == "parked":
            (kind, *_) = [kind for kind, pattern in REASONS.items() if re.search(pattern, reason)] or [reason]
            assert kind in REASONS
            kinds[kind] += 1
    assert set(kinds) == set(REASONS)


@pytest.mark.shared
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


if __name__ == "__main__":
    sys.stdout.writelines(f"{said}  <- {path}\n" for path, said in verdicts(Path(sys.argv[1])).items())
