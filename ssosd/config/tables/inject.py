"""Parameters of injection: synthetic movers that tell how complete a night is."""

from __future__ import annotations

from ssosd.config.kinds import Number, Pair
from ssosd.config.parameter import Parameter

_SECTION, _STAGE = "Injection", "analysis"

ENTRIES: tuple[Parameter, ...] = (
    Parameter(
        name="INJECT",
        section=_SECTION,
        stage=_STAGE,
        default="0",
        kind=Number(low=0, high=10000, whole=True),
        help="Synthetic movers for each field's completeness, 0 for none",
        doc="Paints so many movers into copies of each field's exposures, with the shape of its stars, and "
        "counts those that are found again: the night's completeness by magnitude and rate. They are never "
        "candidates. For it the exposures are extracted and linked once more before the field's results are "
        "written; when that fails, the field's log says why, and nothing else is lost. Too many hide each "
        "other: 50 on a small chip, some hundreds on a large one.",
    ),
    Parameter(
        name="INJECT_MAG",
        section=_SECTION,
        stage=_STAGE,
        default="AUTO",
        kind=Pair(separator=",", interval=True, low=-30, high=40, unset="AUTO"),
        unit="mag",
        help="Magnitudes of synthetic movers: low,high, AUTO about the limit",
        doc="Range of their calibrated magnitudes, in which they are uniform. `AUTO`: from 3 mag above to 1 "
        "mag below the magnitude at which half of what is in the field's exposures is detected.",
    ),
    Parameter(
        name="INJECT_RATE",
        section=_SECTION,
        stage=_STAGE,
        default="2,1000",
        kind=Pair(separator=",", interval=True, low=0.01, high=5000),
        unit="arcsec/h",
        help="Rates of synthetic movers: low,high",
        doc="Range of their motion, in whose logarithm they are uniform, in all directions. Outside PM_LOW "
        "to PM_UP none can be found.",
    ),
)
