"""A start for the astrometry from the pointing that a header tells, where it has no WCS."""

from __future__ import annotations

import math
import re

from astropy.coordinates import FK5, SkyCoord
from astropy.time import Time

from ssosd.errors import BadInput
from ssosd.headermap import Pointing
from ssosd.ingest.cardtext import is_wcs
from ssosd.ingest.headers import HeaderStack, number
from ssosd.sphere import ARCSEC_PER_DEG

_ARCSEC_PER_RADIAN = math.degrees(1.0) * ARCSEC_PER_DEG
_UM_PER_MM = 1000.0
_SEXAGESIMAL = re.compile(r"([+-]?)\s*(\d{1,3})[\s:hd]+(\d{1,2})(?:[\s:m']+(\d{1,2}(?:\.\d*)?))?\s*[s\"]?$")
_MJD_OF_J2000, _DAYS_PER_YEAR = 51544.5, 365.25

Cards = tuple[tuple[str, str | float | None], ...]


def pointing_cards(
    stack: HeaderStack, pointing: Pointing, *, width: int, height: int, mjd: float, label: str
) -> tuple[Cards, str]:
    """Cards of a TAN projection centred on the image where the header says that the telescope points.

    Parameters
    ----------
    stack : HeaderStack
        The image's header first.
    pointing : Pointing
    width, height : int
        Of the image, pixels.
    mjd : float
        Of the exposure, UTC, for an equinox of date.
    label : str
        File and HDU, for messages.

    Returns
    -------
    cards : tuple of (str, str or float or None)
        None for a WCS card of the header that has to go.
    note : str
        For the exposure's warnings.

    Raises
    ------
    BadInput
        A keyword is absent or holds no position, angle or length.
    """
    ra = _angle(stack, pointing.ra, hours=pointing.ra_unit == "hours", unit=pointing.ra_unit, label=label)
    dec = _angle(stack, pointing.dec, hours=False, unit="degrees", label=label)
    if not -90.0 <= dec <= 90.0 or (ra == 0.0 and dec == 0.0):
        raise BadInput(
            f"{label}: no WCS, and no pointing: {pointing.ra} and {pointing.dec} say {ra:g}, {dec:g} degrees",
            next_step="solve the astrometry of the frame, or leave it out",
        )
    ra, dec = _to_icrs(ra % 360.0, dec, stack, pointing.equinox, mjd, label)
    scale = _scale_arcsec(stack, pointing, label) / ARCSEC_PER_DEG
    rotation = _number(stack, pointing.rotation, label)
    angle = math.radians(pointing.rotation_sign * rotation + pointing.rotation_offset)
    sin, cos = scale * math.sin(angle), scale * math.cos(angle)
    flip = -1.0 if pointing.mirrored else 1.0
    cards: dict[str, str | float | None] = {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRPIX1": (width + 1) / 2.0,
        "CRPIX2": (height + 1) / 2.0,
        "CRVAL1": ra,
        "CRVAL2": dec,
        "CD1_1": -flip * cos,
        "CD1_2": sin,
        "CD2_1": flip * sin,
        "CD2_2": cos,
        "RADESYS": "ICRS",
    }
    _, own = stack.headers[0]
    gone = [keyword for keyword in own if is_wcs(keyword) and keyword not in cards]
    note = (
        f"no usable WCS: one is made for SCAMP to start from, of {pointing.ra}, {pointing.dec}, "
        f"{scale * ARCSEC_PER_DEG:.3g} arcsec/px and position angle {math.degrees(angle) % 360.0:.4g} deg"
    )
    return tuple((cards | dict.fromkeys(gone)).items()), note


def _to_icrs(
    ra: float, dec: float, stack: HeaderStack, equinox: str | float, mjd: float, label: str
) -> tuple[float, float]:
    if equinox == "date":
        year = 2000.0 + (mjd - _MJD_OF_J2000) / _DAYS_PER_YEAR
    else:
        year = _number(stack, equinox, label)
    if abs(year - 2000.0) < 1e-3:
        return ra, dec
    if not 1800.0 <= year <= 2200.0:
        raise BadInput(f"{label}: equinox {year:g} of the pointing is no year", next_step=_mend("equinox"))
    sky = SkyCoord(ra, dec, unit="deg", frame=FK5(equinox=Time(year, format="jyear"))).icrs
    return float(sky.ra.deg), float(sky.dec.deg)


def _scale_arcsec(stack: HeaderStack, pointing: Pointing, label: str) -> float:
    """Arcsec per pixel of the image."""
    if pointing.scale is not None:
        scale = _number(stack, pointing.scale, label)
    else:
        assert pointing.pixel_size is not None
        assert pointing.focal_length is not None
        size = _number(stack, pointing.pixel_size, label)
        length = _number(stack, pointing.focal_length, label)
        scale = size / (_UM_PER_MM * length) * _ARCSEC_PER_RADIAN if length > 0.0 else 0.0
    scale *= _number(stack, pointing.binning, label)
    if not 0.0 < scale < ARCSEC_PER_DEG:
        raise BadInput(f"{label}: a pixel of {scale:g} arcsec by the header map", next_step=_mend("scale"))
    return scale


def _number(stack: HeaderStack, value: str | float, label: str) -> float:
    """Return a number, or that of the keyword named."""
    if not isinstance(value, str):
        return value
    found = stack.find(value)
    result = None if found is None else number(found.value)
    if result is None or not math.isfinite(result):
        said = "is absent" if found is None else f"={found.text} is no number"
        raise BadInput(f"{label}: no WCS, and of its pointing {value} {said}", next_step=_mend(value))
    return result


def _angle(stack: HeaderStack, keyword: str, *, hours: bool, unit: str, label: str) -> float:
    """Degrees of a position: a number, or sexagesimal (hours where the unit does not say degrees)."""
    found = stack.find(keyword)
    if found is None:
        raise BadInput(
            f"{label}: no WCS, and no pointing: {keyword} is absent",
            next_step="solve the astrometry of the frame, or leave it out",
        )
    value = number(found.value)
    if value is not None and math.isfinite(value):
        return value * (15.0 if hours else 1.0)
    match = _SEXAGESIMAL.match(found.text)
    if match is None:
        raise BadInput(
            f"{label}: no WCS, and of its pointing {keyword}={found.text} is no angle",
            next_step=_mend(keyword),
        )
    size = int(match[2]) + int(match[3]) / 60.0 + float(match[4] or 0.0) / 3600.0
    return (-size if match[1] == "-" else size) * (1.0 if unit == "degrees" else 15.0)


def _mend(key: str) -> str:
    return f"correct {key} in the header map or the header, or solve the astrometry of the frame"
