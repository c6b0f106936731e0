"""Parameters of linking and of the filter chain."""

from __future__ import annotations

from ssosd.config.kinds import FileName, Number, Pair, Pattern, Switch, WholeNumbers
from ssosd.config.parameter import Parameter

_CHAIN, _STAGE = "Filter chain", "filters"

ENTRIES: tuple[Parameter, ...] = (
    Parameter(
        name="LINKER",
        section="Linking",
        stage="linker",
        default="BOTH",
        kind=Pattern(
            expression="(?i:SCAMP|TRACKLET|BOTH)", description="SCAMP | TRACKLET | BOTH", upper=True
        ),
        help="Who links the detections: SCAMP | TRACKLET | BOTH",
        doc="`SCAMP`: its cross-identification within CROSSID_RADIUS, as in the ssos pipeline. `TRACKLET`: "
        "ssosd's own linker, which takes away what is at rest and joins the rest by motion from PM_LOW to "
        "PM_UP. `BOTH`: both; a source that both found is one candidate, what SCAMP alone found must stand "
        "before the judge of the other (chance, steadiness, rest), and LINKED_BY says who found it. "
        "SCAMP solves the astrometry in any case.",
    ),
    Parameter(
        name="FILTER_DETEC",
        section=_CHAIN,
        stage=_STAGE,
        default="True",
        kind=Switch(),
        help="Filter by number of detections",
        doc="Rejects sources by how often they were detected, see DETECTIONS.",
    ),
    Parameter(
        name="DETECTIONS",
        section=_CHAIN,
        stage=_STAGE,
        default="1,2,3",
        kind=WholeNumbers(low=1, digits_run=True),
        help="Numbers of detections that are rejected; 1,2 for three exposures a field",
        doc="Numbers of detections at which a source is rejected by FILTER_DETEC. With the default a "
        "candidate has four detections or more, which chance seldom makes. Fields of three exposures need "
        "`1,2`: with the default they give no candidate at all. The older spelling `123` means 1,2,3; a "
        "single number above 9 whose digits ascend is written with a comma: `12,`.",
    ),
    Parameter(
        name="FILTER_PM",
        section=_CHAIN,
        stage=_STAGE,
        default="True",
        kind=Switch(),
        help="Filter by rate of motion",
        doc="Rejects sources outside PM_LOW to PM_UP (both included) or with PM/PMERR below PM_SNR.",
    ),
    Parameter(
        name="PM_LOW",
        section=_CHAIN,
        stage=_STAGE,
        default="0",
        kind=Number(low=0),
        unit="arcsec/h",
        help="Slowest motion",
        doc="Lower limit of the motion on the sky, for FILTER_PM and for what the tracklet linker seeks. "
        "Below PM_UP; with LINKER SCAMP it may be the same.",
    ),
    Parameter(
        name="PM_UP",
        section=_CHAIN,
        stage=_STAGE,
        default="2000",
        kind=Number(low=0),
        unit="arcsec/h",
        help="Fastest motion",
        doc="Upper limit of the motion on the sky, for FILTER_PM and for what the tracklet linker seeks. "
        "2000 takes in near-Earth objects in a close passage, 150 all of the main belt; a lower limit saves "
        "time in crowded fields.",
    ),
    Parameter(
        name="PM_SNR",
        section=_CHAIN,
        stage=_STAGE,
        default="0.5",
        kind=Number(low=0),
        help="Smallest ratio of motion to its error",
        doc="Lower limit of PM/PMERR for FILTER_PM, the rate in units of its standard error. It bounds slow "
        "motion too: what moves less than the scatter of its positions has a small ratio. The default only "
        "takes out what does not move at all; FILTER_MOTION judges more strictly.",
    ),
    Parameter(
        name="FILTER_PIXEL",
        section=_CHAIN,
        stage=_STAGE,
        default="True",
        kind=Switch(),
        help="Filter by motion on the detector",
        doc="Rejects sources that stay in place on the detector in X and in Y, such as bad pixels, see "
        "DELTA_PIXEL.",
    ),
    Parameter(
        name="DELTA_PIXEL",
        section=_CHAIN,
        stage=_STAGE,
        default="2",
        kind=Number(low=0),
        unit="pixel",
        help="Smallest shift on the detector, in X or in Y",
        doc="FILTER_PIXEL rejects a source whose positions stay within this range in X and also in Y. "
        "Raise it where bad pixels spread over several; of a slow mover it takes what moves less than this.",
    ),
    Parameter(
        name="FILTER_MOTION",
        section=_CHAIN,
        stage=_STAGE,
        default="True",
        kind=Switch(),
        help="Filter by linear motion",
        doc="Rejects sources that do not move as one object does, by the rule of MOTION_FIT.",
    ),
    Parameter(
        name="MOTION_FIT",
        section=_CHAIN,
        stage=_STAGE,
        default="PLANE",
        kind=Pattern(expression="(?i:PLANE|SEED)", description="PLANE | SEED", upper=True),
        help="Rule of FILTER_MOTION: PLANE | SEED",
        doc="`PLANE` judges the motion in both coordinates together, with the errors that the field's own "
        "stars show: a source is rejected when its rate is less than 4.8 standard errors, when it moves "
        "less than 0.4 arcsec, or when the chi-square of its motion on a great circle (with the small "
        "acceleration that objects show) is one that only one true mover in ten thousand exceeds. `SEED` is "
        "the rule of the ssos pipeline: R_SQU_M in RA and in Dec, SCAMP's flag 64, IDENTIFY_OUTLIER. It "
        "rejects movers along RA or Dec, slow ones, and long arcs that curve by parallax.",
    ),
    Parameter(
        name="IDENTIFY_OUTLIER",
        section=_CHAIN,
        stage=_STAGE,
        default="False",
        kind=Switch(),
        help="Fit groups of detections far apart in time by themselves",
        doc="With MOTION_FIT SEED: splits the detections of a source where the time between them jumps, see "
        "OUTLIER_THRESHOLD; FILTER_MOTION then fits each group of three or more by itself. Detections "
        "outside such a group get FLAGS_SSOS + 1.",
    ),
    Parameter(
        name="OUTLIER_THRESHOLD",
        section=_CHAIN,
        stage=_STAGE,
        default="2",
        kind=Number(low=0, above=True),
        unit="MAD",
        help="Jump in time that splits a source",
        doc="Jump in time for IDENTIFY_OUTLIER, in units of the median absolute deviation of the source's "
        "epochs.",
    ),
    Parameter(
        name="R_SQU_M",
        section=_CHAIN,
        stage=_STAGE,
        default="0.95",
        kind=Number(low=0, high=1),
        help="Smallest R-squared of the linear fits",
        doc="Lower limit of the goodness R-squared of the weighted linear fits of RA and of Dec for "
        "FILTER_MOTION with MOTION_FIT SEED.",
    ),
    Parameter(
        name="FILTER_TRAIL",
        section=_CHAIN,
        stage=_STAGE,
        default="False",
        kind=Switch(),
        help="Filter by constant size of the trail",
        doc="Rejects sources whose AWIN_IMAGE or BWIN_IMAGE varies more than its errors allow, see RATIO.",
    ),
    Parameter(
        name="RATIO",
        section=_CHAIN,
        stage=_STAGE,
        default="0.25",
        kind=Number(low=0),
        help="Smallest ratio of size error to size scatter",
        doc="Lower limit for FILTER_TRAIL of the error of the weighted mean size over the standard "
        "deviation of the sizes, for both axes.",
    ),
    Parameter(
        name="FILTER_BRIGHT_SOURCES",
        section=_CHAIN,
        stage=_STAGE,
        default="True",
        kind=Switch(),
        help="Filter by distance to bright stars",
        doc="Rejects sources closer than DISTANCE to a star of BRIGHT_SOURCES_CAT within MAG_LIMITS: spikes "
        "and ghosts of bright stars imitate motion.",
    ),
    Parameter(
        name="BRIGHT_SOURCES_CAT",
        section=_CHAIN,
        stage=_STAGE,
        default="REFCAT",
        kind=FileName(unset="REFCAT", description="a path of a csv or FITS file with RA, DEC, MAG"),
        help="REFCAT, or a csv or FITS file with RA, DEC, MAG",
        doc="Stars for FILTER_BRIGHT_SOURCES: `REFCAT` is SCAMP's reference catalogue, otherwise a csv or "
        "FITS table with the columns RA and DEC in degrees and MAG.",
    ),
    Parameter(
        name="DISTANCE",
        section=_CHAIN,
        stage=_STAGE,
        default="50",
        kind=Number(low=0),
        unit="arcsec",
        help="Smallest distance to a bright star",
        doc="Radius on the sky around each bright star inside which FILTER_BRIGHT_SOURCES rejects: about as "
        "far as the spikes of your telescope reach.",
    ),
    Parameter(
        name="MAG_LIMITS",
        section=_CHAIN,
        stage=_STAGE,
        default="-99,6",
        kind=Pair(separator=",", interval=True),
        unit="mag",
        help="Magnitudes of the bright stars: low,high",
        doc="Stars of BRIGHT_SOURCES_CAT with magnitudes from low to high count as bright, in that "
        "catalogue's band. The default takes the few stars up to 6 mag; each star more costs a circle of "
        "DISTANCE.",
    ),
)
