"""Parameters of what goes out (cutouts, magnitudes, plots) and of how the work is done."""

from __future__ import annotations

from ssosd.config.kinds import Number, Pattern, Switch, Words
from ssosd.config.parameter import Parameter

_CUTOUTS, _WORK = "Cutouts, magnitudes and plots", "Work"
_SECONDS = Number(low=0, above=True, high=86400)

ENTRIES: tuple[Parameter, ...] = (
    Parameter(
        name="EXTRACT_CUTOUTS",
        section=_CUTOUTS,
        stage="analysis",
        default="True",
        kind=Switch(),
        help="Save a cutout of each detection of a candidate",
        doc="Writes an aligned FITS cutout for each detection of each candidate.",
    ),
    Parameter(
        name="CUTOUT_SIZE",
        section=_CUTOUTS,
        stage="analysis",
        default="256",
        unit="pixel",
        kind=Number(low=1, high=2000, whole=True),
        help="Side of the cutouts",
        doc="Width and height of the cutouts. Each detection of a candidate has one, which at 2000 is a file "
        "of 16 MB that takes a second and more to make.",
    ),
    Parameter(
        name="CUTOUT_RESAMPLER",
        section=_CUTOUTS,
        stage="analysis",
        default="LANCZOS3",
        kind=Pattern(
            expression=r"(?i:LANCZOS3|SWARP)", description="LANCZOS3 | SWARP", metavar="NAME", upper=True
        ),
        help="What makes the cutouts: LANCZOS3 | SWARP",
        doc="`LANCZOS3`: interpolated by ssosd, all cutouts of a source on one grid, north up, east left. "
        "`SWARP`: by SWarp as SWARP_CONFIG says, one run for each cutout.",
    ),
    Parameter(
        name="FIXED_APER_MAGS",
        section=_CUTOUTS,
        stage="analysis",
        default="False",
        kind=Switch(),
        help="Measure magnitudes in one aperture for colours",
        doc="Measures all detections of a candidate with SExtractor in dual-image mode in the aperture "
        "found in REFERENCE_FILTER, so that colours compare the same pixels.",
    ),
    Parameter(
        name="REFERENCE_FILTER",
        section=_CUTOUTS,
        stage="analysis",
        default="gSDSS",
        kind=Words(),
        help="Filters that define the aperture, best first",
        doc="Filters as the image headers name them, in the order of preference: the first with a detection "
        "defines the aperture for FIXED_APER_MAGS.",
    ),
    Parameter(
        name="CHECKPLOTS",
        section=_CUTOUTS,
        stage="analysis",
        default="SKYBOT_RESIDUALS,SKYBOT_PM",
        kind=Words(
            choices=("SKYBOT_RESIDUALS", "SKYBOT_PM"),
            nothing="False",
            misspellings=(("SKYBOT_RESIUDALS", "SKYBOT_RESIDUALS"),),
        ),
        help="Plots to check a run by, False for none",
        doc="`SKYBOT_RESIDUALS`: offsets of matched detections from their predicted positions. `SKYBOT_PM`: "
        "measured and predicted motions. `False`: none.",
    ),
    Parameter(
        name="SEX_TIME_LIMIT",
        section=_WORK,
        stage="ingest",
        default="600",
        kind=_SECONDS,
        unit="s",
        help="Longest run of SExtractor on one exposure",
        doc="SExtractor is killed after this time; the exposure is tried again, then parked.",
    ),
    Parameter(
        name="SCAMP_TIME_LIMIT",
        section=_WORK,
        stage="linker",
        default="1800",
        kind=_SECONDS,
        unit="s",
        help="Longest run of SCAMP on one sequence",
        doc="SCAMP is killed after this time; the sequence is tried again, then parked.",
    ),
    Parameter(
        name="SWARP_TIME_LIMIT",
        section=_WORK,
        stage="analysis",
        default="120",
        kind=_SECONDS,
        unit="s",
        help="Longest run of SWarp on one cutout",
        doc="SWarp is killed after this time; the cutout is left out.",
    ),
    Parameter(
        name="WORKERS",
        section=_WORK,
        stage="pipeline",
        default="0",
        kind=Number(low=0, high=1024, whole=True),
        help="Exposures worked on at once, 0 one per core",
        doc="How many exposures and sequences are worked on at the same time. 0: as many as the machine has "
        "cores.",
    ),
)
