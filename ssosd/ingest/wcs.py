"""The world coordinates of one chip: cards made sane, read by astropy, given as ICRS positions of pixels.

Equatorial axes in ICRS, in FK5 of equinox 2000, or without a frame are taken as ICRS, as SCAMP takes them:
the two frames differ by 0.02" (a rotation that SCAMP's match with the reference catalogue takes out), and
headers that say FK5 are mostly solved against ICRS catalogues. Any other frame or equinox is transformed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.coordinates import FK4, FK5, BarycentricMeanEcliptic, FK4NoETerms, Galactic, SkyCoord
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

from ssosd.errors import BadInput
from ssosd.ingest.headers import Cards
from ssosd.ingest.wcscards import WcsCards, has_wcs, sanitise

_SOLVE = (
    "solve the astrometry of the frame (for example with astrometry.net), say in a header map which keywords "
    "hold its pointing (docs/maps.md), or leave it out"
)


@dataclass(frozen=True, kw_only=True)
class SkyMap:
    """Where on the sky the pixels of one chip are."""

    wcs: WCS  # as the header describes it, cards made sane, longitude first
    width: int  # pixels
    height: int  # pixels
    projection: str  # three letters, TPV also for TAN with SCAMP's PV polynomial
    description: str  # for messages, e.g. "TAN-SIP" or "TAN in FK4 1950"
    frame: Any  # astropy frame of the axes, None when they are taken as ICRS
    pv: Mapping[tuple[int, int], float]  # (1 longitude or 2 latitude, index): PV cards
    distorted: bool  # has SIP or table distortions
    plain: bool  # the header's own cards are what SExtractor and SCAMP read rightly
    notes: tuple[str, ...]

    def icrs(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Right ascension and declination of pixels.

        Parameters
        ----------
        x, y : array_like, shape (n,)
            FITS pixel coordinates: the centre of the first pixel is 1.

        Returns
        -------
        ra_deg, dec_deg : ndarray, shape (n,)
            ICRS degrees; NaN where the projection has no sky.
        """
        world = self.wcs.all_pix2world(np.asarray(x, np.float64), np.asarray(y, np.float64), 1)
        return self.transformed(world[0], world[1])

    def transformed(
        self, longitude: ArrayLike, latitude: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Degrees in the header's frame brought to ICRS."""
        lon, lat = np.asarray(longitude, np.float64), np.asarray(latitude, np.float64)
        if self.frame is None:
            return lon % 360.0, lat
        known = np.isfinite(lon) & np.isfinite(lat)
        sky = SkyCoord(
            np.where(known, lon, 0.0), np.where(known, lat, 0.0), unit="deg", frame=self.frame
        ).icrs
        return np.where(known, sky.ra.deg, np.nan), np.where(known, sky.dec.deg, np.nan)


def read_sky(
    cards: Cards, *, width: int, height: int, label: str, tables: fits.HDUList | None = None
) -> SkyMap:
    """Read the world coordinates of one chip.

    Parameters
    ----------
    cards : Cards
        Header of the chip (or the one it inherits its WCS from).
    width, height : int
        Pixels.
    label : str
        File and HDU, for messages.
    tables : HDUList, optional
        The open file, needed only where distortions are look-up tables (`needs_tables`).

    Raises
    ------
    BadInput
        No celestial WCS, or one that is incomplete, singular, unknown or without sky on the chip.
    """
    if not has_wcs(cards):
        raise BadInput(f"{label}: no WCS: {_absent(cards)}", next_step=_SOLVE)
    sane = sanitise(cards, label=label)
    header = fits.Header()
    for keyword, value in sane.values.items():
        header[keyword] = value
    if tables is not None:
        _add_tables(header, cards)
    try:
        wcs = WCS(header, fobj=tables, fix=False)
        wcs.wcs.fix()
        wcs.wcs.set()
    except (ValueError, LookupError, TypeError, MemoryError) as error:  # astropy's WcsError is a ValueError
        said = re.sub(r"^.*?cextern\S*:\s*", "", " ".join(str(error).split()))
        raise BadInput(f"{label}: WCS cannot be used: {said}", next_step=_SOLVE) from error
    sky = SkyMap(
        wcs=wcs,
        width=width,
        height=height,
        projection=sane.projection,
        description=sane.description,
        frame=_frame(sane),
        pv=sane.pv,
        distorted=wcs.has_distortion,
        plain=sane.plain,
        notes=sane.notes,
    )
    _check(sky, label)
    return sky


def needs_tables(cards: Cards) -> bool:
    """Whether distortions are look-up tables in other HDUs (CPDIS, D2IM)."""
    return any(re.match(r"(CPDIS|D2IMDIS)[12]$", keyword) for keyword in cards)


def grid(width: int, height: int, nodes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """FITS pixel coordinates of a grid over a chip from edge to edge, each of shape (nodes * nodes,)."""
    x, y = np.meshgrid(np.linspace(0.5, width + 0.5, nodes), np.linspace(0.5, height + 0.5, nodes))
    return x.ravel(), y.ravel()


def _check(sky: SkyMap, label: str) -> None:
    ra, dec = sky.icrs(*grid(sky.width, sky.height, 9))
    lost = int(np.count_nonzero(~(np.isfinite(ra) & np.isfinite(dec))))
    if lost:
        raise BadInput(
            f"{label}: WCS ({sky.description}) has no sky on {lost} of {ra.size} places of the chip",
            next_step=_SOLVE,
        )


def _frame(sane: WcsCards) -> Any:
    system = sane.axes
    if system == "GLON":
        return Galactic()
    equinox, radesys = sane.equinox, sane.radesys
    if system == "ELON":
        return BarycentricMeanEcliptic(equinox=Time(equinox or 2000.0, format="jyear"))
    if radesys in {"FK4", "FK4-NO-E"}:
        kind = FK4 if radesys == "FK4" else FK4NoETerms
        return kind(equinox=Time(equinox or 1950.0, format="byear"))
    if radesys == "FK5" and equinox is not None and not math.isclose(equinox, 2000.0, abs_tol=1e-3):
        return FK5(equinox=Time(equinox, format="jyear"))
    return None


def _absent(cards: Cards) -> str:
    types = [cards.text(f"CTYPE{n}") for n in (1, 2)]
    if not any(types):
        return "CTYPE1 and CTYPE2 are absent"
    return f"CTYPE1={types[0] or 'absent'!r}, CTYPE2={types[1] or 'absent'!r} are no celestial axes"


def _add_tables(header: fits.Header, cards: Cards) -> None:
    """Carry the cards of look-up distortions over, record-valued ones as they are written."""
    for raw in cards.raw:
        if re.match(r"(CPDIS|CPERR|DP|DQ|D2IM)", raw):
            card = fits.Card.fromstring(raw)
            card.verify("silentfix")
            header.append(card)
