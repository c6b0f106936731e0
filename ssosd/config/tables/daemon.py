"""Parameters of the daemon: what it watches, when files and sequences are complete, what it retries."""

from __future__ import annotations

from ssosd.config.kinds import Number, Pattern, Words
from ssosd.config.parameter import Parameter

_SEEING, _NIGHT, _KEEPING = "Watching", "Sequences of a night", "Keeping going"

ENTRIES: tuple[Parameter, ...] = (
    Parameter(
        name="INCLUDE",
        section=_SEEING,
        stage="ingest",
        default="*",
        kind=Words(),
        help="Patterns of the files to take",
        doc="Comma-separated patterns (`*`, `?`, `[a-z]`) of file names, or of paths below the watched "
        "folder, that are taken. Only files with the suffixes of FITS are looked at.",
    ),
    Parameter(
        name="EXCLUDE",
        section=_SEEING,
        stage="ingest",
        default=".*,*.weight.fits,*.weight.fits.fz",
        kind=Words(nothing="False"),
        help="Patterns of the files to leave",
        doc="Comma-separated patterns of file names, or of paths below the watched folder, that are left "
        "alone even if INCLUDE names them; `False` for none. What a replay took before and these two "
        "keep out now is taken out again, below the folders that are given.",
    ),
    Parameter(
        name="CALIBRATION",
        section=_SEEING,
        stage="ingest",
        default="bias,zero,dark,flat,skyflat,domeflat,arc,lamp,comparison,focus,calibration,overscan,mask",
        kind=Words(nothing="False"),
        help="Words that tell a calibration frame",
        doc="A file is a calibration frame, and left out visibly, when IMAGETYP, OBSTYPE or a keyword like "
        "them holds one of these words, or, where these do not say that it is a science exposure, OBJECT is "
        "one of them or the file's name has one as a word of its own. A word with `*`, `?` or `[a-z]` is a "
        "pattern of file names (`*_cal.fits`). `False` for none.",
    ),
    Parameter(
        name="SCAN_INTERVAL",
        section=_SEEING,
        stage="daemon",
        default="60",
        unit="s",
        kind=Number(low=0, above=True, high=86400),
        help="Time between scans of the folder",
        doc="Events of the file system are hints; a scan of the whole folder against the store finds what "
        "they missed. It runs at start, this often, and at dawn.",
    ),
    Parameter(
        name="SETTLE_TIME",
        section=_SEEING,
        stage="daemon",
        default="5",
        unit="s",
        kind=Number(low=0, high=3600),
        help="How long a file must be at rest",
        doc="A file is looked into when its size and time of change have been the same for this long, over "
        "at least two looks. It is added to the time from the last exposure to the draft; a camera that "
        "pauses longer while it writes costs nothing, as what lacks something is looked at again.",
    ),
    Parameter(
        name="SETTLE_LIMIT",
        section=_SEEING,
        stage="daemon",
        default="900",
        unit="s",
        kind=Number(low=0, above=True, high=86400),
        help="When a file that is not whole is parked",
        doc="A file that is still growing or still lacks something after this time is parked with the "
        "reason; it is looked at again when it changes.",
    ),
    Parameter(
        name="EXPOSURES_PER_FIELD",
        section=_NIGHT,
        stage="daemon",
        default="0",
        kind=Number(low=0, high=100000, whole=True),
        help="Exposures after which a field is linked at once, 0 when unknown",
        doc="A sequence with this many exposures is complete and is linked at once. 0: not known; it is "
        "linked SEQUENCE_TIMEOUT after its last exposure, or when the Sun is up.",
    ),
    Parameter(
        name="SEQUENCE_TIMEOUT",
        section=_NIGHT,
        stage="daemon",
        default="60",
        unit="min",
        kind=Number(low=0, above=True, high=10000),
        help="Pause after which a field is linked with what it has",
        doc="A field of which no exposure has arrived for this long is complete and is linked. Set it to "
        "more than the longest pause between two visits; a later exposure opens the field again all the "
        "same. With EXPOSURES_PER_FIELD nobody waits for it.",
    ),
    Parameter(
        name="DAWN_ALTITUDE",
        section=_NIGHT,
        stage="daemon",
        default="-6",
        unit="deg",
        kind=Number(low=-18, high=10),
        help="Altitude of the Sun that ends the night",
        doc="When the Sun stands higher than this at the site, all sequences of the night are complete; -6 "
        "is the end of civil twilight. Without a site (OBSERVATORY_CODE 500) the night ends at its local "
        "noon.",
    ),
    Parameter(
        name="REPORT_TIME",
        section=_NIGHT,
        stage="daemon",
        default="DAWN",
        kind=Pattern(
            expression=r"DAWN|([01][0-9]|2[0-3]):[0-5][0-9]",
            description="DAWN or a time UTC as HH:MM",
            metavar="HH:MM",
            upper=True,
        ),
        help="When report and mail are due: DAWN, or HH:MM in UTC",
        doc="When the morning report, the summary and the mail are due: `DAWN` (see DAWN_ALTITUDE), or a "
        "time in UTC. Report and summary are written again whenever a result of the night changes later.",
    ),
    Parameter(
        name="TRIES",
        section=_KEEPING,
        stage="daemon",
        default="3",
        kind=Number(low=1, high=100, whole=True),
        help="Tries of what may succeed later",
        doc="Work that failed for a reason that may pass (a time limit, a full disk, a killed child) is "
        "tried this often before it is parked for good; `ssosd retry` takes it up again. What waits for a "
        "service, as for stars from VizieR, is tried for as long as that takes, every 15 minutes at least.",
    ),
    Parameter(
        name="RETRY_DELAY",
        section=_KEEPING,
        stage="daemon",
        default="60",
        unit="s",
        kind=Number(low=0, high=86400),
        help="Wait before the second try, then doubled",
        doc="Pause before the second try; it doubles with each further one.",
    ),
    Parameter(
        name="KEEP_DAYS",
        section=_KEEPING,
        stage="daemon",
        default="30",
        unit="d",
        kind=Number(low=0, high=36500),
        help="How long cached catalogues are kept",
        doc="Catalogues of nights older than this are removed from the cache when their sequences are done;"
        " the copies in the field's folder stay. So are SkyBoT's answers of that age. 0 keeps all for ever.",
    ),
    Parameter(
        name="MIN_FREE_DISK",
        section=_KEEPING,
        stage="daemon",
        default="1",
        unit="GB",
        kind=Number(low=0, high=1000000),
        help="Free space below which work waits",
        doc="With less free space than this under the target no new work is begun; it goes on by itself "
        "when there is room again.",
    ),
    Parameter(
        name="MEMORY_LIMIT",
        section=_KEEPING,
        stage="astromatic",
        default="0",
        unit="GB",
        kind=Number(low=0, high=100000),
        help="Address space of each child, 0 for no limit",
        doc="Largest address space of one SExtractor, SCAMP or SWarp process; one that wants more ends with"
        " an error of its own. 0 sets no limit.",
    ),
)
