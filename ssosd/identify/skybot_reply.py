"""Read what SkyBoT answered, and believe it only if it answers the question that was asked.

The service tells of its failures with HTTP status 200: as text (``# Flag: -1``), as a page of HTML, or as a
VOTable that ends early. A field without known objects is an answer of its own: ``# Flag: 0`` as text, or a
VOTable without rows, or one whose QUERY_STATUS carries the sentence `NOTHING_FOUND`.
"""

from __future__ import annotations

import io
import re
from datetime import date

import numpy as np
import pandas as pd
from astropy.io import votable
from astropy.io.votable import exceptions as votable_exceptions
from astropy.io.votable.tree import Resource, VOTableFile
from numpy.typing import NDArray

from ssosd.days import DAY_S
from ssosd.errors import ServiceUnavailable
from ssosd.identify.known import known_table
from ssosd.sphere import separation_arcsec

SOURCE = "SKYBOT"
NOTHING_FOUND = "No solar system object was found"

_EPOCH_TOLERANCE_S = 1.0  # the reply prints its epoch to 0.01 s
_CENTRE_TOLERANCE_ARCSEC = 1.0
_MJD_OF_ORDINAL = 678576  # date.toordinal() of MJD 0, 1858-11-17
_JD_OF_MJD = 2400000.5
_FLAG = re.compile(r"#\s*Flag:\s*(-?\d+)")
_FIELD = re.compile(rb"<(?:\w+:)?FIELD\b[^>]*>")
_CHARS = re.compile(rb"""\bdatatype\s*=\s*["'](?:char|unicodeChar)["']""")
_WIDTH = re.compile(rb"""(\barraysize\s*=\s*["'])\d+(?=["'])""")
_ISO_EPOCH = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d?):(\d\d):(\d\d(?:\.\d*)?))?Z?")


def parse_reply(
    body: bytes, *, observer: str, mjd_mid: float, ra_deg: float, dec_deg: float, catalog_number: int = 1
) -> pd.DataFrame:
    """Known objects of one SkyBoT reply.

    Parameters
    ----------
    body : bytes
        As it came over the net.
    observer : str
        The observatory code that was asked for; a reply for another place is refused.
    mjd_mid : float
        The epoch that was asked for, UTC MJD.
    ra_deg, dec_deg : float
        The centre that was asked for, degrees ICRS.
    catalog_number : int
        Written into the column CATALOG_NUMBER.

    Returns
    -------
    DataFrame
        Columns `ssosd.identify.known.KNOWN_COLUMNS`; no rows where SkyBoT knows of no object.

    Raises
    ------
    ServiceUnavailable
        It is a failure, no SkyBoT reply, not a whole one, or not the answer to this question.
    """
    start = body[:4096].lstrip()
    if not start:
        raise ServiceUnavailable("SkyBoT: the answer is empty")
    if start.startswith(b"#"):
        return _from_text(body.decode("utf-8", errors="replace"))
    try:
        document = votable.parse(io.BytesIO(_of_any_width(body)), verify="ignore", invalid="mask")
    except (TypeError, ValueError, SyntaxError, votable_exceptions.VOWarning) as error:
        shown = start[:60].decode("utf-8", errors="replace").split("\n")[0]
        what = "the VOTable is broken or cut short" if b"VOTABLE" in start else f"no VOTable but {shown!r}"
        raise ServiceUnavailable(f"SkyBoT: {what}") from error
    if _nothing_found(document):
        return known_table({})
    if not document.resources or not document.resources[0].tables:
        raise ServiceUnavailable("SkyBoT: the VOTable has no table")
    try:
        _check_question(document.resources[0], observer, mjd_mid, ra_deg, dec_deg)
        return _from_votable(body, document, catalog_number)
    except (TypeError, ValueError) as error:  # a text where a number should be, or the other way round
        raise ServiceUnavailable(f"SkyBoT: the VOTable cannot be read: {error}"[:160]) from error


def _of_any_width(body: bytes) -> bytes:
    """The same with columns of text as wide as what is in them.

    SkyBoT announces six characters for a number, and astropy cuts what is longer: 1000001 would be 100000,
    another asteroid. In binary data the width tells where a cell ends, and stays.
    """
    if b"TABLEDATA" not in body:
        return body
    return _FIELD.sub(lambda tag: _WIDTH.sub(rb"\1*", tag[0]) if _CHARS.search(tag[0]) else tag[0], body)


def _from_text(text: str) -> pd.DataFrame:
    """Failures, and the news that there is nothing, come as text even if a VOTable was asked for."""
    flag = _FLAG.search(text)
    if flag and int(flag.group(1)) >= 0 and NOTHING_FOUND in text:
        return known_table({})
    lines = [line.strip() for line in text.splitlines() if line.strip() and "Ticket" not in line]
    raise ServiceUnavailable(f"SkyBoT: {' '.join(lines)[:160]}")


def _nothing_found(document: VOTableFile) -> bool:
    """Whether the reply says that the field is empty; a reply that says it failed is an error."""
    resources = document.resources
    infos = [*document.infos, *(info for resource in resources for info in resource.infos)]
    statuses = [info for info in infos if info.name == "QUERY_STATUS"]
    if not statuses:
        raise ServiceUnavailable("SkyBoT: the VOTable tells no QUERY_STATUS")
    said = [(str(info.value).upper(), str(info.content or "").strip()) for info in statuses]
    if any(NOTHING_FOUND in text for _, text in said):
        return True
    for value, text in said:
        if value != "OK":
            raise ServiceUnavailable(f"SkyBoT: QUERY_STATUS {value} {text}".rstrip()[:160])
    return False


def _check_question(resource: Resource, observer: str, mjd_mid: float, ra_deg: float, dec_deg: float) -> None:
    """Compare what the reply says it answers with what was asked."""
    params = {param.ID: param.value for param in resource.params}
    answered = str(params.get("observer", "")).strip()
    if answered.upper().split()[:1] != [observer.upper()]:
        raise ServiceUnavailable(f"SkyBoT: asked for observer {observer}, answered for {answered or 'none'}")
    epoch = _mjd_of(str(params.get("epoch", "")))
    if epoch is None or not abs(epoch - mjd_mid) * DAY_S <= _EPOCH_TOLERANCE_S:
        raise ServiceUnavailable(
            f"SkyBoT: asked for epoch MJD {mjd_mid:.6f}, answered for {params.get('epoch', 'none')}"
        )
    if "fovRA" in params and "fovDEC" in params:
        ra, dec = float(params["fovRA"]), float(params["fovDEC"])
        if not float(separation_arcsec(ra, dec, ra_deg, dec_deg)) <= _CENTRE_TOLERANCE_ARCSEC:
            raise ServiceUnavailable(
                f"SkyBoT: asked for {ra_deg:.4f} {dec_deg:+.4f}, answered for {ra:.4f} {dec:+.4f}"
            )


def _mjd_of(text: str) -> float | None:
    """UTC MJD of an ISO date and time or of a Julian date.

    >>> _mjd_of("2025-01-02 12:00:00.00"), _mjd_of("2460677.5"), _mjd_of("now")
    (60677.5, 60677.0, None)
    """
    iso = _ISO_EPOCH.fullmatch(text.strip())
    if iso is None:
        try:
            return float(text) - _JD_OF_MJD
        except ValueError:
            return None
    year, month, day, hours, minutes, seconds = (float(part or 0.0) for part in iso.groups())
    try:
        ordinal = date(int(year), int(month), int(day)).toordinal()
    except ValueError:
        return None
    return ordinal - _MJD_OF_ORDINAL + (hours * 3600.0 + minutes * 60.0 + seconds) / DAY_S


def _from_votable(body: bytes, document: VOTableFile, catalog_number: int) -> pd.DataFrame:
    element = document.resources[0].tables[0]
    rows = element.array
    announced = re.search(rb'<(?:\w+:)?TABLE\b[^>]*\bnrows="(\d+)"', body)
    if announced and int(announced.group(1)) != len(rows):
        raise ServiceUnavailable(
            f"SkyBoT: {int(announced.group(1))} rows announced, {len(rows)} are in the answer"
        )
    names = set(rows.dtype.names or ())
    lacking = sorted({"num", "name", "class", "magV", "errpos", "dracosdec", "ddec"} - names)
    if lacking:
        raise ServiceUnavailable(f"SkyBoT: the VOTable lacks {', '.join(lacking)}")
    ra, dec = _positions(rows, names)
    if not (np.isfinite(ra) & np.isfinite(dec)).all():
        raise ServiceUnavailable("SkyBoT: objects without a position in the answer")
    return known_table(
        {
            "CATALOG_NUMBER": np.full(len(rows), catalog_number),
            "NUMBER": _texts(rows["num"]),
            "NAME": _texts(rows["name"]),
            "CLASS": _texts(rows["class"]),
            "MAG": _numbers(rows["magV"]).round(3),  # from float32
            "RA": ra,
            "DEC": dec,
            "PMRA": _numbers(rows["dracosdec"]),
            "PMDEC": _numbers(rows["ddec"]),
            "ERR": _numbers(rows["errpos"]).round(4),
            "SOURCE": [SOURCE] * len(rows),
        }
    )


def _positions(rows: np.ma.MaskedArray, names: set[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """RA and Dec in degrees: from the columns in degrees where there are any, else sexagesimal."""
    if {"_raj2000", "_decj2000"} <= names:
        return _numbers(rows["_raj2000"]), _numbers(rows["_decj2000"])
    if {"ra", "de"} <= names:
        return _sexagesimal(rows["ra"]) * 15.0, _sexagesimal(rows["de"])
    raise ServiceUnavailable("SkyBoT: the VOTable lacks positions")


def _sexagesimal(column: np.ma.MaskedArray) -> NDArray[np.float64]:
    """Values of texts like ``-04 29 25.081``; NaN where they are none."""
    parts = pd.Series(_texts(column)).str.extract(r"^([+-]?)(\d+)[ :](\d+)[ :](\d+(?:\.\d*)?)$")
    sign = np.where(parts[0] == "-", -1.0, 1.0)
    whole, minutes, seconds = (parts[i].astype("float64").to_numpy() for i in (1, 2, 3))
    return np.asarray(sign * (whole + minutes / 60.0 + seconds / 3600.0), dtype=np.float64)


def _numbers(column: np.ma.MaskedArray) -> NDArray[np.float64]:
    return np.ma.filled(np.ma.asarray(column).astype(np.float64), np.nan)


def _texts(column: np.ma.MaskedArray) -> list[str]:
    return [str(text).strip() for text in np.ma.filled(np.ma.asarray(column), "")]
