"""Parameters of what comes in: images, set-up files of the three programs, sequences, the site."""

from __future__ import annotations

from ssosd.config.kinds import Address, FileName, Number, Pattern, Switch, WholeNumbers
from ssosd.config.parameter import Parameter

#: Online reference catalogues of SCAMP 2.10, as ``scamp -dd`` lists them at ASTREF_CATALOG.
SCAMP_CATALOGUES = (
    "USNO-A2", "USNO-B1", "GSC-2.3", "TYCHO-2", "UCAC-4", "URAT-1", "NOMAD-1", "PPMX", "CMC-15", "2MASS",
    "DENIS-3", "SDSS-R9", "SDSS-R12", "IGSL", "GAIA-DR1", "GAIA-DR2", "GAIA-EDR3", "PANSTARRS-1", "ALLWISE",
)  # fmt: skip

# Standard keywords (FITS standard 4.0, 4.1.2.1) and those of the HIERARCH convention, which may hold spaces.
_KEYWORD = r"""(?! )(?:(?!["#+,=])[ -~]){1,67}(?<! )"""
_HEADER = Pattern(expression=_KEYWORD, description="a FITS header keyword", metavar="KEYWORD", upper=True)
_TIME = Pattern(
    expression=rf"{_KEYWORD}(\+{_KEYWORD})?",
    description="a FITS header keyword, or a date and a time keyword joined by +",
    metavar="KEYWORD",
    upper=True,
)
_IMAGES, _SEX, _SCAMP, _SEQUENCES, _SITE = "Images", "SExtractor", "SCAMP", "Sequences", "Site"

ENTRIES: tuple[Parameter, ...] = (
    Parameter(
        name="SCI_EXTENSION",
        section=_IMAGES,
        stage="ingest",
        default="All",
        kind=WholeNumbers(low=0, everything="All"),
        help="HDUs that hold the science images: All | 1 | 1,2 (0 is the primary)",
        doc="Index of the HDU or HDUs that are searched for sources, counted as SExtractor does: 0 is the "
        "primary. `All` takes every HDU that holds an image.",
    ),
    Parameter(
        name="WEIGHT_IMAGES",
        section=_IMAGES,
        stage="ingest",
        default="False",
        kind=FileName(folder=True, unset="False"),
        help="Folder of weight images NAME_EXT.weight, False for none",
        doc="Folder with the weight maps for SExtractor: `NAME_EXT.weight` for HDU EXT of `NAME.fits`, "
        "`NAME.weight` for the whole file. With `False` SExtractor weights as its own set-up file says. "
        "RECOVER and FIT_TRAILS leave out the pixels that SExtractor leaves out.",
    ),
    Parameter(
        name="OBJECT",
        section=_IMAGES,
        stage="ingest",
        default="OBJECT",
        kind=_HEADER,
        help="Header keyword of the target's name",
        doc="Header keyword of the target's name, used to name fields. It may be missing in the images: "
        "fields are told apart by where they point.",
    ),
    Parameter(
        name="DATE-OBS",
        section=_IMAGES,
        stage="ingest",
        default="DATE-OBS",
        kind=_TIME,
        help="Header keyword of the start of exposure, UTC (or DATE+TIME)",
        doc="Header keyword of the start of the exposure in UTC, as ISOT, MJD or JD. Where date and time "
        "stand under two keywords they are joined: `DATE-OBS+UTC-OBS`.",
    ),
    Parameter(
        name="FILTER",
        section=_IMAGES,
        stage="ingest",
        default="FILTER",
        kind=_HEADER,
        help="Header keyword of the filter or band",
        doc="Header keyword of the filter or band. Keywords with spaces (HIERARCH) go in quotes.",
    ),
    Parameter(
        name="EXPTIME",
        section=_IMAGES,
        stage="ingest",
        default="EXPTIME",
        kind=_HEADER,
        help="Header keyword of the exposure time in seconds",
        doc="Header keyword of the exposure time in seconds; the middle of the exposure follows from it.",
    ),
    Parameter(
        name="HEADER_MAP",
        section=_IMAGES,
        stage="ingest",
        default="SHIPPED",
        kind=FileName(
            unset="False", words=("SHIPPED",), needs_mark=True, description="a path of a TOML file"
        ),
        help="What headers of some instruments mean: SHIPPED | a map | False",
        doc="A small TOML file that says what the headers of an instrument mean: keywords, formats and zone "
        "of times, bands, gain, saturation, which frames are calibrations, a rough pointing where there is "
        "no WCS. Its rules come before those shipped, the first that fits a header counts. `SHIPPED`: only "
        "those shipped in `semp/maps`. `False`: none. [maps.md](maps.md) describes every key.",
    ),
    Parameter(
        name="SEX_CONFIG",
        section=_SEX,
        stage="ingest",
        default="semp/ssos.sex",
        kind=FileName(),
        help="SExtractor set-up file",
        doc="The set-up file of SExtractor. GAIN_KEY, SATUR_KEY and MAG_ZEROPOINT in it usually need a "
        "look. `semp/ssos.sex` is deep, for LINKER BOTH or TRACKLET; `semp/seed.sex` is as deep as that of "
        "ssos, for LINKER SCAMP.",
    ),
    Parameter(
        name="SEX_PARAMS",
        section=_SEX,
        stage="ingest",
        default="semp/ssos.param",
        kind=FileName(),
        help="List of the quantities SExtractor measures",
        doc="The list of output columns of SExtractor. Columns may be added; those shipped are needed by "
        "the linker and the filter chain.",
    ),
    Parameter(
        name="SEX_FILTER",
        section=_SEX,
        stage="ingest",
        default="semp/gauss_2.5_5x5.conv",
        kind=FileName(),
        help="SExtractor convolution filter",
        doc="The convolution mask SExtractor detects with; best about as wide as the seeing.",
    ),
    Parameter(
        name="SEX_NNW",
        section=_SEX,
        stage="ingest",
        default="semp/default.nnw",
        kind=FileName(),
        help="SExtractor neural network that tells stars from galaxies",
        doc="The weights of SExtractor's star/galaxy classifier.",
    ),
    Parameter(
        name="SCAMP_CONFIG",
        section=_SCAMP,
        stage="linker",
        default="semp/ssos.scamp",
        kind=FileName(),
        help="SCAMP set-up file",
        doc="The set-up file of SCAMP, which solves the astrometry and links detections.",
    ),
    Parameter(
        name="ASTREF_CATALOG",
        section=_SCAMP,
        stage="linker",
        default="REFCAT",
        kind=FileName(
            unset="CONFIG",
            words=("REFCAT", "FILE", *SCAMP_CATALOGUES),
            needs_mark=True,
            description="a path of a FITS-LDAC file",
        ),
        help="REFCAT | CONFIG as in SCAMP_CONFIG | FILE | GAIA-EDR3, ... | a FITS-LDAC file",
        doc="Astrometric reference catalogue. `REFCAT`: stars of Gaia DR3 at the night's epoch, kept in "
        "REFCAT. `CONFIG` or a blank: whatever the SCAMP set-up file says. `FILE`: the file named by "
        "ASTREFCAT_NAME there. A catalogue's name: SCAMP downloads it for each sequence, and no exposure is "
        "solved before its sequence is whole. A path: that FITS-LDAC file, no network needed; where it has "
        "PMALPHA_J2000, PMDELTA_J2000 (mas/yr) and OBSDATE, its stars are moved to the night's epoch.",
    ),
    Parameter(
        name="REFCAT",
        section=_SCAMP,
        stage="linker",
        default="TARGET",
        kind=FileName(folder=True, unset="TARGET"),
        help="Folder of the reference stars that are kept, TARGET for .ssosd/refcat there",
        doc="Where ASTREF_CATALOG `REFCAT` keeps its stars, a FITS-LDAC file for each tile of about a square "
        "degree. The first exposure of a new field has its tiles fetched from REFCAT_URL; from then on no "
        "network is needed. The folder may be copied to a place without one, and shared by several targets. "
        "`ssosd install-service` lets the service write to it; so must its permissions.",
    ),
    Parameter(
        name="REFCAT_MAG",
        section=_SCAMP,
        stage="linker",
        default="20",
        kind=Number(low=5, high=22),
        unit="mag",
        help="Faintest reference stars that are kept, Gaia G",
        doc="Gaia G magnitude of the faintest stars in the tiles of REFCAT. Another value has its own tiles.",
    ),
    Parameter(
        name="REFCAT_URL",
        section=_SCAMP,
        stage="linker",
        default="https://vizier.cds.unistra.fr/viz-bin/votable",
        kind=Address(),
        help="Address of VizieR, for the stars of REFCAT",
        doc="Address of VizieR's `votable` programme, or of that of a mirror such as "
        "https://vizier.cfa.harvard.edu/viz-bin/votable.",
    ),
    Parameter(
        name="REFCAT_TIME_LIMIT",
        section=_SCAMP,
        stage="linker",
        default="60",
        kind=Number(low=0, above=True, high=86400),
        unit="s",
        help="Time limit for the stars of one tile",
        doc="How long VizieR may take for one tile. A server that does not answer is left alone for a while; "
        "a sequence whose stars are not there is tried again until they are, see TRIES.",
    ),
    Parameter(
        name="CROSSID_RADIUS",
        section=_SCAMP,
        stage="linker",
        default="CONFIG",
        unit="arcsec",
        kind=Number(low=0, above=True, high=600, unset="CONFIG"),
        help="Largest distance of two linked detections, CONFIG as in SCAMP_CONFIG",
        doc="How far apart SCAMP may link two detections. Divided by the longest time between two exposures "
        "it is the fastest motion that SCAMP links; about 100 arcsec/h is a good start. SCAMP "
        "may crash with much more than 600. `CONFIG` or a blank: as in the SCAMP set-up file.",
    ),
    Parameter(
        name="REMOVE_REF_SOURCES",
        section=_SCAMP,
        stage="linker",
        default="False",
        kind=Switch(),
        help="Remove detections of reference stars before linking",
        doc="Runs SCAMP twice: the second time without the detections that the first matched with the "
        "reference catalogue, so that movers are not linked to stars.",
    ),
    Parameter(
        name="SWARP_CONFIG",
        section="SWarp",
        stage="analysis",
        default="semp/ssos.swarp",
        kind=FileName(),
        help="SWarp set-up file for cutouts",
        doc="The set-up file of SWarp, which makes the cutouts with CUTOUT_RESAMPLER `SWARP`.",
    ),
    Parameter(
        name="FIELD_RADIUS",
        section=_SEQUENCES,
        stage="ingest",
        default="0.25",
        kind=Number(low=0, above=True, high=2),
        unit="fraction of the footprint",
        help="Exposures with centres closer than this are one field",
        doc="Exposures whose centres are closer than this fraction of the smaller side of the footprint "
        "belong to one field, whatever OBJECT says.",
    ),
    Parameter(
        name="SEQUENCE_GAP",
        section=_SEQUENCES,
        stage="ingest",
        default="0",
        kind=Number(low=0, high=24),
        unit="h",
        help="Pause that splits a field's night in two sequences, 0 never",
        doc="A field seen again in the same night after a pause longer than this is another sequence, "
        "linked by itself. 0 never splits.",
    ),
    Parameter(
        name="MIN_EXPOSURES",
        section=_SEQUENCES,
        stage="ingest",
        default="3",
        kind=Number(low=2, high=1000, whole=True),
        help="Fewest exposures of a sequence that is linked",
        doc="A sequence with fewer usable exposures is not linked; status and report say so.",
    ),
    Parameter(
        name="OBSERVATORY_CODE",
        section=_SITE,
        stage="identify",
        default="500",
        kind=Pattern(
            expression="[0-9A-Za-z]{3,4}",
            description="an IAU observatory code such as 500, 950 or C51",
            metavar="CODE",
        ),
        help="IAU observatory code, 500 is the centre of the Earth",
        doc="IAU code of the observatory: the observer of predicted positions and the station of drafts. "
        "500 is the centre of the Earth, which shifts near objects and has no night: set it.",
    ),
    Parameter(
        name="SITE_LON",
        section=_SITE,
        stage="ingest",
        default="CODE",
        unit="deg",
        kind=Number(low=-180, high=360, unset="CODE"),
        help="Longitude, east positive, CODE from OBSERVATORY_CODE",
        doc="Geodetic longitude, east positive. `CODE` or a blank takes it from OBSERVATORY_CODE. SITE_LON, "
        "SITE_LAT and SITE_ALT are given all three or not at all. Nights begin at local noon by it.",
    ),
    Parameter(
        name="SITE_LAT",
        section=_SITE,
        stage="ingest",
        default="CODE",
        unit="deg",
        kind=Number(low=-90, high=90, unset="CODE"),
        help="Latitude, north positive, CODE from OBSERVATORY_CODE",
        doc="Geodetic latitude, north positive.",
    ),
    Parameter(
        name="SITE_ALT",
        section=_SITE,
        stage="ingest",
        default="CODE",
        unit="m",
        kind=Number(low=-500, high=10000, unset="CODE"),
        help="Height above the ellipsoid, CODE from OBSERVATORY_CODE",
        doc="Height above the WGS84 ellipsoid.",
    ),
)
