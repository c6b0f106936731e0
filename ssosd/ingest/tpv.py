"""World coordinates as SExtractor and SCAMP read them: TAN, a CD matrix and, where needed, a PV polynomial.

SCAMP 2.10 and SExtractor 2.25 ignore SIP and look-up tables without a word, precess what says ICRS with
another EQUINOX, do not know CUNIT other than degrees, and can fit distortions only on top of TAN. What they
would misread is converted by a least-squares fit to how astropy reads the header. The polynomial is the one
of the registered TPV convention (xi = PV1_0 + PV1_1 u + PV1_2 v + PV1_4 u^2 ..., eta likewise with u and v
exchanged; u and v in degrees) without the radial terms 3, 11, 23 and 39.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from ssosd.errors import BadInput
from ssosd.ingest.wcs import SkyMap, grid
from ssosd.sphere import ARCSEC_PER_DEG, mean_position, offsets_arcsec, separation_arcsec

TOLERANCE_PX = 0.01
_HOPELESS_PX = 1.0
_EXACT_PX = 1e-4
_DEGREES = (1, 3, 5, 7)
_RADIAL = (3, 11, 23, 39)
_FINEST_ARCSEC, _COARSEST_ARCSEC, _LONGEST = 1e-3, 1000.0, 20.0  # no camera's pixels are beyond
_FIT_NODES, _CHECK_NODES = 25, 32
#: Projections with a reference point that is natural for the polynomial, if the chip is not far from it.
_ZENITHAL = {"TAN", "TPV", "AZP", "SZP", "STG", "SIN", "NCP", "ARC", "ZPN", "ZEA", "AIR", "TNX", "ZPX"}
_FAR_DEG = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ScampWcs:
    """The WCS cards of one chip for SExtractor and SCAMP."""

    cards: tuple[tuple[str, str | float], ...]
    plain: bool  # the header's own cards say the same to both programs
    residual_px: float  # largest difference to astropy's reading of the header, pixels
    degree: int  # of the polynomial, 0 when nothing was fitted
    conversion: str  # what was converted to what, "" when nothing was


def pixel_scale_arcsec(sky: SkyMap, *, label: str) -> float:
    """Mean pixel scale at the chip's centre: root of the area of a pixel, arcsec.

    Raises
    ------
    BadInput
        A pixel has no area on the sky, or an impossible one.
    """
    x, y = (sky.width + 1) / 2.0, (sky.height + 1) / 2.0
    ra, dec = sky.icrs([x, x + 0.5, x - 0.5, x, x], [y, y, y, y + 0.5, y - 0.5])
    xi, eta = offsets_arcsec(ra, dec, ra[0], dec[0])
    jacobian = np.array([[xi[1] - xi[2], xi[3] - xi[4]], [eta[1] - eta[2], eta[3] - eta[4]]])
    long, short = np.linalg.svd(jacobian, compute_uv=False)
    scale = float(np.sqrt(long * short))
    if not _FINEST_ARCSEC < scale < _COARSEST_ARCSEC or long > _LONGEST * short:
        raise BadInput(
            f"{label}: WCS impossible: a pixel measures {long:.3g} x {short:.3g} arcsec",
            next_step="correct CDi_j or CDELTi, or solve the astrometry of the frame again",
        )
    return scale


def to_scamp(sky: SkyMap, *, label: str) -> ScampWcs:
    """Express a chip's WCS as TAN, CD and PV cards in ICRS.

    Parameters
    ----------
    sky : SkyMap
    label : str
        File and HDU, for messages.

    Returns
    -------
    ScampWcs
        Of the lowest degree (1, 3, 5, 7) that differs from astropy's reading by less than 0.01 px anywhere on
        the chip; of the best one when none does.

    Raises
    ------
    BadInput
        No polynomial comes within one pixel, or the WCS is singular.
    """
    scale = pixel_scale_arcsec(sky, label=label)
    if sky.frame is None and sky.projection in {"TAN", "TPV"} and not sky.distorted:
        cards = _same(sky)
        residual = _residual_px(sky, cards, scale)
        if residual < _EXACT_PX:
            return ScampWcs(cards=cards, plain=sky.plain, residual_px=residual, degree=0, conversion="")
    ra0, dec0 = _tangent_point(sky)
    best: ScampWcs | None = None
    for degree in _DEGREES:
        cards = _fitted(sky, ra0=ra0, dec0=dec0, degree=degree, label=label)
        residual = _residual_px(sky, cards, scale)
        if best is None or residual < best.residual_px:
            form = "plain TAN" if degree == 1 else f"TAN with PV polynomial of degree {degree}"
            best = ScampWcs(
                cards=cards,
                plain=False,
                residual_px=residual,
                degree=degree,
                conversion=f"WCS {sky.description} converted to {form}",
            )
        if residual < TOLERANCE_PX:
            break
    assert best is not None
    if not best.residual_px < _HOPELESS_PX:
        raise BadInput(
            f"{label}: WCS ({sky.description}) cannot be expressed for SCAMP: the best polynomial is "
            f"{best.residual_px:.2g} px off",
            next_step="solve the astrometry of the frame with TAN or TPV",
        )
    return best


def pv_terms(degree: int) -> list[tuple[int, int, int]]:
    """Index of PV1_index and powers of u and v of each polynomial term, radial terms left out.

    >>> pv_terms(2)
    [(0, 0, 0), (1, 1, 0), (2, 0, 1), (4, 2, 0), (5, 1, 1), (6, 0, 2)]
    """
    terms, index = [], 0
    for total in range(degree + 1):
        for power_v in range(total + 1):
            while index in _RADIAL:
                index += 1
            terms.append((index, total - power_v, power_v))
            index += 1
    return terms


def _same(sky: SkyMap) -> tuple[tuple[str, str | float], ...]:
    """The header's own TAN or TPV with one CD matrix."""
    world = sky.wcs.wcs
    crval = (float(world.crval[0]) % 360.0, float(world.crval[1]))
    crpix = (float(world.crpix[0]), float(world.crpix[1]))
    return _cards(crval, crpix, sky.wcs.pixel_scale_matrix, dict(sky.pv))


def _fitted(
    sky: SkyMap, *, ra0: float, dec0: float, degree: int, label: str
) -> tuple[tuple[str, str | float], ...]:
    x, y = grid(sky.width, sky.height, _FIT_NODES)
    xi, eta = (v / ARCSEC_PER_DEG for v in offsets_arcsec(*sky.icrs(x, y), ra0, dec0))
    if not np.all(np.isfinite(xi)):
        raise BadInput(
            f"{label}: the chip does not fit on a tangent plane ({sky.description})",
            next_step="ssosd is for telescopes, not for all-sky cameras",
        )
    x0, y0 = x.mean(), y.mean()
    design = np.stack([x - x0, y - y0, np.ones_like(x)], axis=1)
    linear, *_ = np.linalg.lstsq(design, np.stack([xi, eta], axis=1), rcond=None)
    matrix = linear[:2].T
    crpix = np.array([x0, y0]) - np.linalg.solve(matrix, linear[2])
    if degree == 1:
        return _cards((ra0, dec0), (float(crpix[0]), float(crpix[1])), matrix, {})
    u, v = matrix @ np.stack([x - crpix[0], y - crpix[1]])
    pv: dict[tuple[int, int], float] = {}
    for axis, (first, second, target) in enumerate(((u, v, xi), (v, u, eta)), start=1):
        for index, value in _polynomial(first, second, target, degree):
            pv[axis, index] = value
    return _cards((ra0, dec0), (float(crpix[0]), float(crpix[1])), matrix, pv)


def _polynomial(
    u: NDArray[np.float64], v: NDArray[np.float64], target: NDArray[np.float64], degree: int
) -> list[tuple[int, float]]:
    """Least-squares coefficients; columns are scaled to order one for the solution's sake."""
    size = float(max(np.abs(u).max(), np.abs(v).max()))
    terms = pv_terms(degree)
    design = np.stack([(u / size) ** i * (v / size) ** j for _, i, j in terms], axis=1)
    solution, *_ = np.linalg.lstsq(design, target, rcond=1e-14)
    return [(index, float(c / size ** (i + j))) for (index, i, j), c in zip(terms, solution, strict=True)]


def _residual_px(sky: SkyMap, cards: tuple[tuple[str, str | float], ...], scale_arcsec: float) -> float:
    """Largest distance between the header's and the cards' positions over the chip, pixels."""
    header = fits.Header(cards)
    wcs = WCS(header, fix=False)
    x, y = grid(sky.width, sky.height, _CHECK_NODES)
    ra, dec = wcs.all_pix2world(x, y, 1)
    distance = separation_arcsec(*sky.icrs(x, y), ra, dec)
    return float(np.max(np.where(np.isfinite(distance), distance, np.inf)) / scale_arcsec)


def _tangent_point(sky: SkyMap) -> tuple[float, float]:
    """The header's own reference point where that is near, so that the chips of a mosaic share it."""
    centre = mean_position(*sky.icrs(*grid(sky.width, sky.height, 3)))
    moved = sky.projection != "TPV" and any(axis == 1 for axis, _ in sky.pv)
    if sky.projection in _ZENITHAL and not moved:
        world = sky.wcs.wcs
        ra, dec = sky.transformed(world.crval[:1], world.crval[1:2])
        if separation_arcsec(ra[0], dec[0], *centre) < _FAR_DEG * ARCSEC_PER_DEG:
            return float(ra[0]), float(dec[0])
    return centre


def _cards(
    crval: tuple[float, float],
    crpix: tuple[float, float],
    matrix: NDArray[np.float64],
    pv: dict[tuple[int, int], float],
) -> tuple[tuple[str, str | float], ...]:
    projection = "TPV" if pv else "TAN"
    cards: list[tuple[str, str | float]] = [
        ("RADESYS", "ICRS"),
        ("EQUINOX", 2000.0),
        ("CTYPE1", f"RA---{projection}"),
        ("CTYPE2", f"DEC--{projection}"),
        ("CUNIT1", "deg"),
        ("CUNIT2", "deg"),
        ("CRVAL1", crval[0]),
        ("CRVAL2", crval[1]),
        ("CRPIX1", crpix[0]),
        ("CRPIX2", crpix[1]),
    ]
    cards += [(f"CD{i}_{j}", float(matrix[i - 1][j - 1])) for i in (1, 2) for j in (1, 2)]
    cards.append(("LONPOLE", 180.0))
    cards += [(f"PV{axis}_{index}", value) for (axis, index), value in sorted(pv.items()) if value != 0.0]
    return tuple(cards)
