"""Parameters of what is measured on the pixels at known places: recovery."""

from __future__ import annotations

from ssosd.config.kinds import Number, Switch
from ssosd.config.parameter import Parameter

_SECTION, _STAGE = "Recovery", "analysis"

ENTRIES: tuple[Parameter, ...] = (
    Parameter(
        name="RECOVER",
        section=_SECTION,
        stage=_STAGE,
        default="True",
        kind=Switch(),
        help="Measure candidates in exposures without a detection of them",
        doc="Looks at each candidate's predicted place in every exposure in which it was not detected, and "
        "writes what is there to recovered.csv: its light, or that it is too faint, behind a star, "
        "saturated, or off the detector. Candidates and drafts stay as they are.",
    ),
    Parameter(
        name="RECOVER_SNR",
        section=_SECTION,
        stage=_STAGE,
        default="3.5",
        kind=Number(low=0, above=True, high=100),
        help="Significance at which light at the predicted place is the candidate's",
        doc="Light at the predicted place counts as measured when it is so many times the noise of the sky; "
        "below, the candidate is too faint, and this multiple of the noise is its limit. An empty sky "
        "exceeds 3.5 once in 4300 places.",
    ),
)
