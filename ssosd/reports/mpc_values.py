"""The MPC's lists of allowed values, as of 2026: https://minorplanetcenter.net/iau/info/ADESFieldValues.html.

A batch with a value that is not in them is rejected as a whole. The list of bands is kept here as the 80
columns (https://minorplanetcenter.net/iau/info/OpticalObs.html) and the surveys' own bands in ADES have it.
"""

from __future__ import annotations

import math

from ssosd.model import COVERED_FLAG, SWALLOWED_FLAG

#: Instrumentation of today's images and measurements.
MODES = frozenset({"CCD", "CMO", "VID", "TDI", "OCC"})
#: Listed, but not for modern observations.
HISTORICAL_MODES = frozenset({"PHO", "ENC", "PMT", "MIC", "MER", "UNK"})

CATALOGUES = frozenset(
    {
        *("Gaia_Int", "Gaia1", "Gaia2", "Gaia3", "Gaia3E", "Gaia2016", "Gaia_2016"),
        *("PS1_DR1", "PS1_DR2", "ATLAS2", "URAT1", "UCAC4", "UCAC5", "PPMXL", "NOMAD", "2MASS", "UBSC"),
    }
)
#: Listed, but observers are asked to use a modern one.
OLD_CATALOGUES = frozenset(
    {
        *("UCAC1", "UCAC2", "UCAC3", "USNOA1", "USNOSA1", "USNOA2", "USNOSA2", "USNOB1", "USNOB2"),
        *("Tyc1", "Tyc2", "Hip1", "Hip2", "ACT", "GSCACT", "GSC", "GSC1.0", "GSC1.1", "GSC1.2", "GSC2.2"),
        *("GSC2.3", "SDSS7", "SDSS8", "CMC14", "CMC15", "SSTRC1", "SSTRC4", "MPOSC3", "PPM", "AC"),
        *("SAO", "SAO1984", "AGK3", "FK4", "ACRS", "LickGas", "Ida93", "Perth70", "COSMOS", "Yale"),
        *("ZZCAT", "IHW", "GZ", "URAT2", "UNK"),
    }
)

#: Column 71 of the 80 columns.
LETTER_BANDS = frozenset("BVRIJHKWUYNGgrizwyocv")
#: ADES: the letters, and two-letter bands that say whose system it is.
ADES_BANDS = LETTER_BANDS | frozenset(
    {
        *("Uj", "Bj", "Vj", "Rc", "Rj", "Ic", "Ij", "VR"),
        *("Su", "Sg", "Sr", "Si", "Sz", "Pg", "Pr", "Pi", "Pz", "Py", "Pw"),
        *("Ao", "Ac", "Gb", "Gr", "Lu", "Lg", "Lr", "Li", "Lz", "Ly", "NC1", "NC2"),
    }
)
#: Not a band of a photometric system: clear, luminance, and the ambiguous u.
REFUSED_BANDS = frozenset({"C", "L", "u"})

#: Column 15: how it was observed.
NOTE2_TODAY = frozenset("CBTVSXxnE")
NOTE2_LISTED = NOTE2_TODAY | frozenset(" PeMRHNOcDZWwQqtA")
#: Second lines of a record in two: satellite, roving observer, radar.
SECOND_LINES = frozenset("svr")


def note_of(flags_ssos: int | float) -> str:
    """Column 14 (https://minorplanetcenter.net/iau/info/ObsNote.html) and ADES notes; NaN as no flag.

    >>> note_of(SWALLOWED_FLAG | 64), note_of(COVERED_FLAG), note_of(64), note_of(float("nan"))
    ('I', 'I', '', '')
    """
    involved = SWALLOWED_FLAG | COVERED_FLAG
    return "I" if not math.isnan(flags_ssos) and int(flags_ssos) & involved else ""
