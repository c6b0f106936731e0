"""Parameters of the known objects: who is asked, and where orbits come from."""

from __future__ import annotations

from ssosd.config.kinds import Address, FileName, Number, Pair, Pattern, Switch, Words
from ssosd.config.parameter import Parameter

_KNOWN = "Known objects"
_FILE = FileName(
    unset="False",
    words=("DOWNLOAD",),
    needs_mark=True,
    description="a path of an existing file",
)

ENTRIES: tuple[Parameter, ...] = (
    Parameter(
        name="CROSSMATCH_SKYBOT",
        section=_KNOWN,
        stage="identify",
        default="True",
        kind=Switch(),
        help="Identify known objects with SkyBoT",
        doc="Asks the SkyBoT service for the known objects in each exposure and matches the candidates with "
        "them. Without an answer candidates are unchecked, not unknown, and are asked for again.",
    ),
    Parameter(
        name="CROSSMATCH_RADIUS",
        section=_KNOWN,
        stage="identify",
        default="10",
        unit="arcsec",
        kind=Number(low=0, above=True, high=3600),
        help="Largest distance to a predicted position",
        doc="A detection within this distance of a predicted position is a match, if the motion agrees too. "
        "Catalogued objects are within an arcsecond; more than that shows a wrong clock or place.",
    ),
    Parameter(
        name="FOV_DIMENSIONS",
        section=_KNOWN,
        stage="identify",
        default="0x0",
        unit="deg",
        kind=Pair(separator="x", low=0, high=180),
        help="Size YxZ of the queried region, 0x0 from the footprint",
        doc="Sides of the box around each exposure in which known objects are looked for. `0x0` takes the "
        "footprint from the image's WCS.",
    ),
    Parameter(
        name="SKYBOT_URL",
        section=_KNOWN,
        stage="identify",
        default="https://ssp.imcce.fr/webservices/skybot/api/conesearch.php",
        kind=Address(),
        help="Address of the SkyBoT cone search",
        doc="Address of the SkyBoT cone search service, or of a mirror.",
    ),
    Parameter(
        name="SKYBOT_TIME_LIMIT",
        section=_KNOWN,
        stage="identify",
        default="30",
        kind=Number(low=0, above=True, high=86400),
        unit="s",
        help="Longest wait for an answer of SkyBoT",
        doc="A query without an answer after this time counts as failed and is tried again later.",
    ),
    Parameter(
        name="KNOWN_SOURCES",
        section=_KNOWN,
        stage="identify",
        default="SKYBOT,ORBITS",
        kind=Words(choices=("SKYBOT", "ORBITS"), nothing="False"),
        help="Who knows of known objects, in the order of asking",
        doc="`SKYBOT`: the service, if CROSSMATCH_SKYBOT is True. `ORBITS`: ssosd's own ephemerides of the "
        "file of orbits, if ORBITS names one; they need no network. An exposure that the first has no answer "
        "for is looked up with the next; when the first answers later, its answer takes the place. `False`: "
        "nobody.",
    ),
    Parameter(
        name="KNOWN_COMBINE",
        section=_KNOWN,
        stage="identify",
        default="FIRST",
        kind=Pattern(expression="(?i:FIRST|ALL)", description="FIRST | ALL", metavar="WORD", upper=True),
        help="Take the FIRST answer of these, or join ALL",
        doc="`FIRST`: each exposure has the answer of the first of KNOWN_SOURCES that gives one. `ALL`: all "
        "are asked, and objects that only a later one knows of are added.",
    ),
    Parameter(
        name="ORBITS",
        section=_KNOWN,
        stage="identify",
        default="False",
        kind=_FILE,
        help="File of orbits (MPCORB.DAT), DOWNLOAD or False",
        doc="A file in the format of the Minor Planet Center's MPCORB.DAT, plain or `.gz`, from which the "
        "known objects are predicted without any network. `DOWNLOAD`: the daemon fetches it from ORBITS_URL "
        "and keeps it under the target. Its contents are part of what a result depends on.",
    ),
    Parameter(
        name="COMETS",
        section=_KNOWN,
        stage="identify",
        default="False",
        kind=_FILE,
        help="File of comets (CometEls.txt), DOWNLOAD or False",
        doc="Comets for ORBITS, a file in the format of the Minor Planet Center's CometEls.txt. `DOWNLOAD`: "
        "fetched from COMETS_URL as ORBITS is.",
    ),
    Parameter(
        name="ORBITS_URL",
        section=_KNOWN,
        stage="identify",
        default="https://www.minorplanetcenter.net/iau/MPCORB/MPCORB.DAT.gz",
        kind=Address(),
        help="Where ORBITS DOWNLOAD comes from",
        doc="Address of the file of orbits; the suffix `.gz` says that it is compressed.",
    ),
    Parameter(
        name="COMETS_URL",
        section=_KNOWN,
        stage="identify",
        default="https://www.minorplanetcenter.net/iau/MPCORB/CometEls.txt",
        kind=Address(),
        help="Where COMETS DOWNLOAD comes from",
        doc="Address of the file of comets.",
    ),
    Parameter(
        name="ORBITS_AGE",
        section=_KNOWN,
        stage="identify",
        default="5",
        unit="d",
        kind=Number(low=0, above=True, high=3650),
        help="Age at which downloaded orbits are fetched anew",
        doc="A downloaded file older than this is fetched again by day, that is while the Sun is up at the "
        "site, or at any time when there is none yet. Without the network the old one stays in use; "
        "`ssosd status` tells its age.",
    ),
)
