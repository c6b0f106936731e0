"""Ask VizieR for the stars of Gaia DR3 in a tile of the sky, in the words of astroquery.

The catalogue is I/355/gaiadr3 (Gaia Collaboration 2023, A&A 674, A1), positions ICRS at epoch 2016.0.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from ssosd.errors import Misconfigured, ServiceUnavailable
from ssosd.linker.gaia.tiles import Tile
from ssosd.plumbing.fetch import LOOPBACK, USER_AGENT

if TYPE_CHECKING:
    from astropy.table import Table

CATALOGUE = "I/355/gaiadr3"
EPOCH = 2016.0  # of its positions, Julian year
ENDPOINT = "https://vizier.cds.unistra.fr/viz-bin/votable"
#: Column of VizieR: ours, and what a number of it is multiplied with.
_COLUMNS = {
    "RA_ICRS": ("RA", 1.0),
    "DE_ICRS": ("DEC", 1.0),
    "e_RA_ICRS": ("ERR_RA", 1e-3),  # mas
    "e_DE_ICRS": ("ERR_DEC", 1e-3),
    "pmRA": ("PMRA", 1.0),
    "pmDE": ("PMDEC", 1.0),
    "e_pmRA": ("PMRA_ERR", 1.0),
    "e_pmDE": ("PMDEC_ERR", 1.0),
    "Gmag": ("MAG", 1.0),
    "e_Gmag": ("MAGERR", 1.0),
    "BPmag": ("BP", 1.0),
    "RPmag": ("RP", 1.0),
}
_INFO = re.compile(rb"""<(?:\w+:)?INFO\b((?:\s+[\w:]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*/?>([^<]*)""")
_ATTRIBUTE = re.compile(rb"""([\w:]+)\s*=\s*["']([^"']*)["']""")


def ask_for_stars(tile: Tile, *, faintest_mag: float, url: str, time_limit_s: float) -> pd.DataFrame:
    """Ask for the stars of a tile.

    Parameters
    ----------
    tile : Tile
    faintest_mag : float
        G magnitude.
    url : str
        Of a VizieR server's ``votable`` programme.
    time_limit_s : float
        Wall seconds for the whole exchange.

    Returns
    -------
    DataFrame
        One row per star, by Dec and RA: RA, DEC (deg ICRS at `EPOCH`), ERR_RA, ERR_DEC (arcsec), PMRA (with
        cos Dec), PMDEC, PMRA_ERR, PMDEC_ERR (mas/yr; NaN for stars without), MAG, MAGERR (G), BP, RP (NaN for
        stars without).

    Raises
    ------
    ServiceUnavailable
        No answer in time, or none that can be right.
    Misconfigured
        `url` is no web address.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Misconfigured(f"REFCAT_URL {url!r} is not a web address", next_step=f"e.g. {ENDPOINT}")
    ra, dec, radius = tile.circle_deg
    asking = _Asking(url, time_limit_s, where=(ra, dec, radius), faintest_mag=faintest_mag)
    tables = [_stars(table, parts.hostname) for table in asking.answer(parts.hostname)]
    stars = pd.concat(tables, ignore_index=True).drop_duplicates(["RA", "DEC"])  # in two resources each
    right = np.isfinite(stars[["RA", "DEC", "MAG"]].to_numpy()).all(axis=1)
    right &= stars["MAG"].to_numpy() <= faintest_mag
    right &= tile.holds(stars["RA"].to_numpy(), stars["DEC"].to_numpy())
    stars = stars[right]
    if stars.empty:
        raise ServiceUnavailable(f"{parts.hostname}: its answer has no star in the tile {tile}")
    return stars.sort_values(["DEC", "RA"], kind="stable", ignore_index=True)


def _stars(table: Table, host: str) -> pd.DataFrame:
    """Rows of an answer in our columns and units."""
    missing = [name for name in _COLUMNS if name not in table.colnames]
    if missing:
        raise ServiceUnavailable(f"{host}: its answer has no column {' and '.join(missing)}")
    try:
        return pd.DataFrame(
            {
                name: np.ma.filled(np.ma.asarray(table[column], dtype=np.float64), np.nan) * factor
                for column, (name, factor) in _COLUMNS.items()
            }
        )
    except (TypeError, ValueError) as error:
        raise ServiceUnavailable(f"{host}: its answer has text where numbers should be: {error}") from error


class _Asking:
    """One question, asked in a thread of its own: the time-outs of requests count anew at every byte."""

    def __init__(
        self, url: str, time_limit_s: float, *, where: tuple[float, float, float], faintest_mag: float
    ) -> None:
        self._url, self._limit_s = url, time_limit_s
        self._where, self._mag = where, faintest_mag
        self._tables: list[Table] = []
        self._failure = ""

    def answer(self, host: str) -> list[Table]:
        """The tables of the answer, one at least.

        Raises
        ------
        ServiceUnavailable
            There is none.
        """
        question = self._question()  # takes time that is not the server's
        thread = threading.Thread(target=self._run, args=(question,), name=f"ask {host}", daemon=True)
        thread.start()
        thread.join(self._limit_s)
        if self._tables:
            return self._tables
        why = self._failure or f"no complete answer within {self._limit_s:.3g} s"
        raise ServiceUnavailable(
            f"{host}: {why}",
            next_step="the next try asks it again; ASTREF_CATALOG takes a file, which needs no network",
        )

    def _run(self, question: str) -> None:
        from astropy.io.votable.exceptions import VOWarning
        from requests import RequestException, Session, Timeout

        with Session() as session:
            session.trust_env = urlsplit(self._url).hostname not in LOOPBACK  # or a proxy were asked
            try:
                response = session.post(
                    self._url,
                    data=question.encode(),
                    headers={"User-Agent": USER_AGENT},
                    timeout=self._limit_s,
                )
                response.raise_for_status()
                content = response.content
            except Timeout:
                return  # as long as `answer` waits: which of the two ends first is chance
            except (RequestException, OSError) as error:
                self._failure = _gist(error)
                return
        self._failure = _complaint(content)
        if self._failure:
            return
        try:
            tables = _tables(content)
        except (TypeError, ValueError, SyntaxError, VOWarning) as error:
            self._failure = f"its answer cannot be read: {' '.join(str(error).split())[:120]}"
            return
        if not tables:
            self._failure = f"its answer holds no table of {CATALOGUE}"
            return
        self._tables = tables

    def _question(self) -> str:
        """In VizieR's language, and astroquery's; which itself asks servers by name alone, and by https."""
        from astropy import units as u
        from astropy.coordinates import SkyCoord
        from astroquery.vizier import VizierClass

        ra, dec, radius = self._where
        service = VizierClass(
            columns=list(_COLUMNS), column_filters={"Gmag": f"<={self._mag:g}"}, row_limit=-1
        )
        return str(
            service.query_region(
                SkyCoord(ra, dec, unit="deg", frame="icrs"),
                radius=radius * u.deg,
                catalog=CATALOGUE,
                frame="icrs",
                get_query_payload=True,
            )
        )


def _tables(body: bytes) -> list[Table]:
    """All tables of a VOTable that have rows; none of what is something else."""
    from astropy.io import votable

    if not body.lstrip().startswith(b"<?xml"):
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        document = votable.parse(io.BytesIO(body), verify="ignore", invalid="mask")
        return [t.to_table(use_names_over_ids=True) for t in document.iter_tables() if len(t.array)]


def _complaint(body: bytes) -> str:
    """What a reply says against itself; a part of the stars comes with HTTP status 200 and a table."""
    for attributes, content in _INFO.findall(body):
        said = dict(_ATTRIBUTE.findall(attributes))
        value, what = said.get(b"value", b""), said.get(b"name", said.get(b"ID"))
        failed = what == b"QUERY_STATUS" and value.upper() in (b"ERROR", b"OVERFLOW")
        if failed or b"Errors" in (what, said.get(b"ID")):
            text = b" ".join((value + b" " + content).split()).decode("utf-8", errors="replace")
            return f"its answer is not whole: {text[:120]}"
    return ""


def _gist(error: Exception) -> str:
    """Say in a few words what went wrong."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status:
        return f"HTTP {status}"
    text = " ".join(str(error).split())
    cause: BaseException | None = error
    while cause is not None:  # below three layers of libraries
        if isinstance(cause, OSError) and cause.strerror:
            return f"no connection ({cause.strerror})"
        cause = cause.__cause__ or cause.__context__
    return f"{type(error).__name__}: {text[:160]}"
