"""Bands: which one a filter is, and Gaia's G, BP and RP brought to it.

The polynomials are those of Gaia DR3's documentation, section 5.5.1 (Carrasco and Bellazzini;
https://gea.esac.esa.int/archive/documentation/GDR3/Data_processing/chap_cu5pho/cu5pho_sec_photSystem/
cu5pho_ssec_photRelations.html), tables 5.8 (SDSS12) and 5.9 (Johnson-Cousins), the same as in Riello et al.
2021, A&A 649, A3, table C.2: G minus the band as a function of BP - RP. Ranges of colours are those of table
5.10 (C.1 of Riello et al.); those of g and r end at 2.0, beyond which they hold for M giants alone (notes f
and g there).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: BP - RP of the Sun, near which asteroids are (Casagrande and VandenBerg 2018, MNRAS 479, L102).
SOLAR_BP_RP = 0.82


@dataclass(frozen=True, kw_only=True, slots=True)
class Relation:
    """G minus a band as a polynomial in BP - RP."""

    coefficients: tuple[float, ...]  # of rising powers
    bluest: float  # least BP - RP it holds for
    reddest: float  # largest BP - RP it holds for
    scatter: float  # of single stars about it, mag


#: By the MPC's letter of the band: Johnson-Cousins V, R, I (Stetson) and Sloan g, r, i (SDSS DR12).
RELATIONS: dict[str, Relation] = {
    "V": Relation(
        coefficients=(-0.02704, 0.01424, -0.2156, 0.01426), bluest=-0.5, reddest=5.0, scatter=0.03017
    ),
    "R": Relation(
        coefficients=(-0.02275, 0.3961, -0.1243, -0.01396, 0.003775),
        bluest=0.0,
        reddest=4.0,
        scatter=0.03167,
    ),
    "I": Relation(coefficients=(0.01753, 0.76, -0.0991), bluest=-0.5, reddest=4.5, scatter=0.03765),
    "g": Relation(coefficients=(0.2199, -0.6365, -0.1548, 0.0064), bluest=0.3, reddest=2.0, scatter=0.0745),
    "r": Relation(
        coefficients=(-0.09837, 0.08592, 0.1907, -0.1701, 0.02263), bluest=0.0, reddest=2.0, scatter=0.03776
    ),
    "i": Relation(
        coefficients=(-0.293, 0.6404, -0.09609, -0.002104), bluest=0.5, reddest=2.0, scatter=0.04092
    ),
}

_BROAD = frozenset({"", "c", "l", "w", "g_gaia", "gaia"}) | frozenset(
    {"clear", "none", "open", "nofilter", "unfiltered", "lum", "luminance", "white", "empty", "air", "null"}
    | {"vr", "gri"}
)
_NAMES = {
    **dict.fromkeys(("V", "Vj", "JohnsonV", "BessellV", "bssrV"), "V"),
    **dict.fromkeys(("R", "Rc", "Rj", "CousinsR", "BessellR", "bssrR", "KCR"), "R"),
    **dict.fromkeys(("I", "Ic", "CousinsI", "BessellI", "bssrI", "KCI"), "I"),
    **{name: band for band in "gri" for name in (band, f"{band}p", f"Sloan{band}", f"SDSS{band}")},
    **{name: band for band in "gri" for name in (f"{band}SDSS", f"{band}s", f"S{band}", f"{band}prime")},
    "G": "G",
}
_FOLDED = {name.lower(): band for name, band in _NAMES.items() if len(name) > 2}


def band_of_filter(name: str) -> str | None:
    """The MPC's letter of the band that a filter of a FITS header is, or comes nearest to.

    Parameters
    ----------
    name : str
        FILTER as the header has it. Without a filter, or with a broad one (VR), the response is nearest to
        Gaia's G.

    Returns
    -------
    str or None
        V, R, I, g, r, i or G; None for a filter that none of them stands for (B, u, z, H-alpha ...).

    Examples
    --------
    >>> [band_of_filter(f) for f in ("V", "SDSS-r", "gSDSS", "rp", "Clear", "", "Halpha")]
    ['V', 'r', 'g', 'r', 'G', 'G', None]
    """
    bare = re.sub(r"[\s_.'-]+", "", name)
    if bare.lower() in _BROAD or name.strip().lower() in _BROAD:
        return "G"
    return _NAMES.get(bare) or _FOLDED.get(bare.lower())


def gaia_to_band(band: str, g: ArrayLike, bp: ArrayLike, rp: ArrayLike) -> NDArray[np.float64]:
    """Magnitudes in another band from Gaia DR3 photometry.

    Parameters
    ----------
    band : str
        ``G`` (unchanged) or a key of `RELATIONS`.
    g, bp, rp : array_like, shape (n,)
        Gaia magnitudes.

    Returns
    -------
    ndarray, shape (n,)
        NaN outside the range of colours of the relation, and where a magnitude is missing.

    Raises
    ------
    KeyError
        There is no relation for `band`.

    Examples
    --------
    >>> gaia_to_band("V", [10.0], [10.35], [9.53]).round(3)  # a star of the Sun's colour
    array([10.152])
    """
    g_mag = np.asarray(g, dtype=np.float64)
    if band == "G":
        return g_mag.copy()
    relation = RELATIONS[band]
    colour = np.asarray(bp, dtype=np.float64) - np.asarray(rp, dtype=np.float64)
    difference = np.polynomial.polynomial.polyval(colour, relation.coefficients)
    inside = (colour >= relation.bluest) & (colour <= relation.reddest)
    return np.where(inside, g_mag - difference, np.nan)
