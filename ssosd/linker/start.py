"""Headers whose pointing, rotation and scale are those of the stars: where SCAMP's joint solution starts.

Only CRVAL and CD change. Distortions stay the header's: those of an instrument are found from all exposures
of a sequence together, and a start with each exposure's own would leave their differences in the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from ssosd.linker.scamp.input import Frame, only_wcs, with_cards
from ssosd.linker.star_match import Affine
from ssosd.model import Chip
from ssosd.sphere import from_offsets_arcsec, offsets_arcsec

_STEP_ARCSEC = 60.0


def is_plain(header: fits.Header) -> bool:
    """Whether a header has a tangent projection, a CD matrix and LONPOLE 180, as ssosd writes it."""
    kinds = {str(header.get("CTYPE1")), str(header.get("CTYPE2"))}
    return (
        kinds in ({"RA---TAN", "DEC--TAN"}, {"RA---TPV", "DEC--TPV"})
        and str(header["CTYPE1"]).startswith("RA")
        and "CD1_1" in header
        and float(header.get("LONPOLE", 180.0)) == 180.0
    )


def sky_of(
    frame: Frame, headers: Sequence[fits.Header] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """RA and Dec (deg) of all detections of a frame, chip after chip, by its own headers or by others."""
    parts = []
    for chip, header in zip(frame.chips, headers or frame.headers, strict=True):
        wcs = WCS(only_wcs(header), fix=False)
        x, y = (chip.objects[name].astype(np.float64) for name in ("XWIN_IMAGE", "YWIN_IMAGE"))
        parts.append(np.array(wcs.all_pix2world(x, y, 1)).reshape(2, -1))
    ra, dec = np.concatenate(parts, axis=1)
    return ra, dec


def corrected(
    headers: Sequence[fits.Header], affine: Affine, *, ra_deg: float, dec_deg: float
) -> list[fits.Header]:
    """WCS cards of an exposure's chips after a correction on the plane that touches the sky at a place."""
    return [_corrected(header, affine, ra_deg, dec_deg) for header in headers]


def how_turned(header: fits.Header, solved: fits.Header, *, more_than_deg: float) -> str:
    """How a header stands against its solution, in words; "" where it is turned by less than an angle.

    Examples
    --------
    >>> card = lambda a, b: fits.Header([("CD1_1", a), ("CD1_2", 0.0), ("CD2_1", 0.0), ("CD2_2", b)])
    >>> [how_turned(card(-1.0, 1.0), card(a, b), more_than_deg=5.0) for a, b in ((-1.1, 1.0), (1.0, -1.0))]
    ['', 'turned by 180 deg']
    >>> how_turned(card(-1.0, 1.0), card(1.0, 1.0), more_than_deg=5.0)
    'mirrored'
    """
    turn = _matrix(solved) @ np.linalg.inv(_matrix(header))
    if np.linalg.det(turn) < 0.0:
        return "mirrored"
    angle = float(np.degrees(np.arctan2(turn[1, 0] - turn[0, 1], np.trace(turn))))
    return f"turned by {abs(angle):.0f} deg" if abs(angle) > more_than_deg else ""


def placed(frame: Frame, solved: Sequence[fits.Header]) -> Frame:
    """A frame with the WCS of its solution in the place of its headers', its chips where that has them."""
    headers = tuple(with_cards(old, new) for old, new in zip(frame.headers, solved, strict=True))
    e = frame.exposure
    chips = tuple(_chip_at(chip, header) for chip, header in zip(e.chips, headers, strict=True))
    return replace(frame, headers=headers, exposure=replace(e, chips=chips))


def _chip_at(chip: Chip, header: fits.Header) -> Chip:
    x, y = Chip.outline_px(chip.width_px, chip.height_px)
    ra, dec = WCS(only_wcs(header), fix=False).all_pix2world(np.array(x), np.array(y), 1)
    corners = tuple((float(a), float(d)) for a, d in zip(ra[1:], dec[1:], strict=True))
    return replace(chip, ra_deg=float(ra[0]), dec_deg=float(dec[0]), corners_deg=corners)


def _matrix(header: fits.Header) -> NDArray[np.float64]:
    return np.array([[float(header.get(f"CD{i}_{j}", 0.0)) for j in (1, 2)] for i in (1, 2)])


def _corrected(header: fits.Header, affine: Affine, ra0: float, dec0: float) -> fits.Header:
    ra, dec = float(header["CRVAL1"]), float(header["CRVAL2"])

    def moved(xi: NDArray[np.float64], eta: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        plane = np.column_stack(offsets_arcsec(*from_offsets_arcsec(xi, eta, ra, dec), ra0, dec0))
        there = affine.apply(plane)
        return from_offsets_arcsec(there[:, 0], there[:, 1], ra0, dec0)

    steps = _STEP_ARCSEC * np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    new_ra, new_dec = moved(steps[:, 0], steps[:, 1])
    around = np.column_stack(offsets_arcsec(new_ra, new_dec, new_ra[0], new_dec[0]))
    turn = np.column_stack([around[1] - around[2], around[3] - around[4]]) / (2.0 * _STEP_ARCSEC)
    result = only_wcs(header)
    result["CRVAL1"], result["CRVAL2"] = float(new_ra[0]), float(new_dec[0])
    for (i, j), value in np.ndenumerate(turn @ _matrix(header)):
        result[f"CD{i + 1}_{j + 1}"] = float(value)
    return result
