"""A stand-in of the SkyBoT service: a real HTTP server on 127.0.0.1 that speaks its conesearch protocol.

    with SkybotService(known) as service:
        ... SKYBOT_URL = service.url ...
    service.requests  # what was asked: one dict of parameters per query

`known` is a table with the columns of a simulated night's known.csv (mjd_mid, ra, dec, Mv, dra, ddec, unc, name,
number; one row per object and epoch; positions between the epochs follow the rates), or a function of the epoch
that gives such a table without mjd_mid. `service.plan` makes the next queries fail, each in its own way.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pandas as pd
from astropy.time import Time

from ssosd import sphere
from tests.loopback import Loopback, LoopbackHandler

Known = pd.DataFrame | Callable[[float], pd.DataFrame]

#: Ways to answer; all but http500 come with HTTP status 200, as with the real service.
WAYS = (
    "right",
    "http500",
    "hang",  # takes the question and says nothing
    "drop",  # closes the connection without an answer
    "flag-1",  # the text of a failure inside the service
    "html",
    "truncated",  # a VOTable that ends early, with the Content-Length of what is there
    "short",  # a body shorter than its Content-Length
    "nothing",  # a body of no bytes
    "drip",  # byte by byte, headers whole
    "drip-headers",  # byte by byte from the start
    "geocentric",  # positions for observer 500, whatever was asked
    "other-epoch",
    "json",  # of another service
    "fewer-rows",  # well-formed, but rows are missing
    "none-as-text",  # no objects, told in the three ways that are known
    "none-as-error",
    "none-as-table",
)

_VALID_FOR_DAYS = 0.5


class SkybotService(Loopback):
    """The stand-in, listening while in its `with` block."""

    path = "/webservices/skybot/api/conesearch.php"

    def __init__(self, known: Known | None = None, *, plan: Iterable[str] = (), way: str = "right") -> None:
        super().__init__(plan=plan, way=way)
        self.requests: list[dict[str, str]] = []
        self.most_at_once = 0
        self._known = known
        self._now = 0
        self._lock = threading.Lock()

    def objects(self, mjd: float) -> pd.DataFrame:
        """All objects that the service knows, at an epoch."""
        if self._known is None:
            return pd.DataFrame(columns=["name", "number", "ra", "dec", "Mv", "dra", "ddec", "unc"])
        if callable(self._known):
            return self._known(mjd)
        return propagate(self._known, mjd)

    def _begin(self, parameters: dict[str, str]) -> str:
        with self._lock:
            self.requests.append(parameters)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            return self.next_way()

    def _end(self) -> None:
        with self._lock:
            self._now -= 1


def listed(truth: pd.DataFrame) -> pd.DataFrame:
    """A painted night's movers as the service lists them: without numbers, under their ids."""
    towards = np.radians(truth["pa"])
    table = truth[["mjd_mid", "ra", "dec"]].assign(name=truth["id"], number=np.nan, Mv=truth["mag"], unc=0.1)
    return table.assign(dra=truth["rate"] * np.sin(towards), ddec=truth["rate"] * np.cos(towards))


def propagate(known: pd.DataFrame, mjd: float) -> pd.DataFrame:
    """Each object at `mjd`, by its rates from the row of the nearest epoch; objects far from all epochs are left out."""
    away = (known["mjd_mid"] - mjd).abs()
    nearest = known.assign(_away=away).sort_values("_away", kind="stable").drop_duplicates("name")
    nearest = nearest[nearest["_away"] <= _VALID_FOR_DAYS].sort_index()
    hours = (mjd - nearest["mjd_mid"].to_numpy()) * 24.0
    ra, dec = moved(
        nearest["ra"].to_numpy(), nearest["dec"].to_numpy(), nearest["dra"] * hours, nearest["ddec"] * hours
    )
    return nearest.assign(ra=ra, dec=dec).drop(columns="_away")


def moved(ra_deg, dec_deg, xi_arcsec, eta_arcsec):
    """Positions that lie xi to the east and eta to the north of others, on their tangent planes."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    xi, eta = (np.radians(np.asarray(x) / 3600.0)[..., None] for x in (xi_arcsec, eta_arcsec))
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
    return sphere.to_radec(sphere.unit_vectors(ra_deg, dec_deg) + xi * east + eta * north)


class _Handler(LoopbackHandler):
    service: SkybotService

    def do_GET(self) -> None:
        parameters = {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}
        way = self.service._begin(parameters)
        try:
            self._answer(way, parameters)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            self.service._end()

    def _answer(self, way: str, asked: dict[str, str]) -> None:
        if way not in WAYS:
            raise AssertionError(way)
        if self.answer_badly(way):
            return
        if way == "flag-1":
            self.send(
                b"# Flag: -1\n# Ticket: 181292695259995135\nSkyBoT comet conesearch -> MySQL server: \n"
            )
        elif way == "json":
            self.send(b'{"status": "ok", "data": []}', kind="application/json")
        elif way == "none-as-text":
            self.send(
                b"# Flag: 0\n# Ticket: 183080492634082511\n# Num | Name | RA(h) | DE(deg)\n"
                b"No solar system object was found in the requested FOV\n"
            )
        elif way == "none-as-error":
            self.send(
                b'<?xml version="1.0" encoding="UTF-8" ?>\n'
                b'<vot:VOTABLE version="1.3" xmlns:vot="http://www.ivoa.net/xml/VOTable/v1.3">'
                b'<vot:INFO ID="status" name="QUERY_STATUS" value="ERROR">No solar system object was found in the '
                b"requested FOV</vot:INFO></vot:VOTABLE>\n"
            )
        else:
            self._answer_votable(way, asked)

    def _answer_votable(self, way: str, asked: dict[str, str]) -> None:
        mjd = float(asked["-ep"]) - 2400000.5
        observer = "500" if way == "geocentric" else asked.get("-observer", "500")
        found = inside(self.service.objects(mjd), asked)
        body = votable(
            found.iloc[:0] if way == "none-as-table" else found,
            asked=asked,
            observer=observer,
            mjd=mjd + (1.0 if way == "other-epoch" else 0.0),
            announced=len(found) + 3 if way == "fewer-rows" else None,
        )
        if way == "truncated":
            self.send(body[: int(0.9 * len(body))])
        elif way == "short":
            self.send(body[: int(0.9 * len(body))], length=len(body))
        elif way == "drip":
            self.head(200, "text/xml", len(body))
            self.drip(body)
        elif way == "drip-headers":
            self.drip(f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        else:
            self.send(body, kind="text/xml")


SkybotService.handler = _Handler


def inside(objects: pd.DataFrame, asked: dict[str, str]) -> pd.DataFrame:
    """The objects in the cone or box that was asked for, nearest first, as the service would find them."""
    ra, dec = float(asked["-ra"]), float(asked["-dec"])
    if objects.empty:
        return objects.assign(d=[])
    away = sphere.separation_arcsec(ra, dec, objects["ra"], objects["dec"])
    if "-bd" in asked:
        width, height = (float(side) * 3600.0 for side in re.split("x", asked["-bd"]))
        xi, eta = sphere.offsets_arcsec(objects["ra"], objects["dec"], ra, dec)
        within = (np.abs(xi) <= width / 2.0) & (np.abs(eta) <= height / 2.0)
    else:
        within = away <= float(asked["-rs"])
    limit = float(asked.get("-filter", 120.0))
    if limit > 0.0:
        within &= (objects["unc"].fillna(0.0) <= limit).to_numpy()
    return objects.assign(d=away)[within].sort_values("d", kind="stable")


def votable(
    found: pd.DataFrame, *, asked: dict[str, str], observer: str, mjd: float, announced: int | None = None
) -> bytes:
    """A reply of the same structure as a recorded one of the real service, digits as printed there."""
    epoch = Time(mjd, format="mjd", scale="utc").iso[:22]
    rows = "".join(_row(record) for record in found.to_dict("records"))
    return _PAGE.format(
        target=quoteattr(f"{asked['-ra']}+{asked['-dec']},{asked.get('-rs', asked.get('-bd'))}"),
        asked_epoch=quoteattr(asked["-ep"]),
        epoch=quoteattr(epoch),
        ra=quoteattr(asked["-ra"]),
        dec=quoteattr(asked["-dec"]),
        size=quoteattr(asked.get("-rs", "0")),
        limit=quoteattr(asked.get("-filter", "120")),
        observer=quoteattr(observer),
        count=len(found) if announced is None else announced,
        rows=rows,
    ).encode()


def _row(record: dict[str, object]) -> str:
    number = record.get("number")
    known_by = "-" if pd.isna(number) or number == "" else str(number).removesuffix(".0")
    ra, dec = float(record["ra"]), float(record["dec"])
    cells = [
        known_by,
        escape(str(record["name"])),
        _sexagesimal(ra / 15.0, 4, sign=False),
        _sexagesimal(dec, 3, sign=True),
        escape(str(record.get("class", "MB>Outer"))),
        f"{record['Mv']:.17g}",
        f"{record['unc']:.3f}",
        f"{record['d']:.3f}",
        f"{record['dra']:.4f}",
        f"{record['ddec']:.3f}",
        "1.594366842",
        "2.507917866",
        f"{ra:.17g}",
        f"{dec:.17g}",
        escape(f"https://ssp.imcce.fr/webservices/ssodnet/api/ssocard/{record['name']}"),
    ]
    return "<vot:TR>" + "\n".join(f"<vot:TD>{cell}</vot:TD>" for cell in cells) + "\n</vot:TR>\n"


def _sexagesimal(value: float, digits: int, *, sign: bool) -> str:
    units = round(abs(value) * 3600 * 10**digits)
    seconds, fraction = divmod(units, 10**digits)
    head = ("-" if value < 0 else "+") if sign else ""
    return f"{head}{seconds // 3600:02d} {seconds // 60 % 60:02d} {seconds % 60}.{fraction:0{digits}d}"


_PAGE = """<?xml version="1.0" encoding="UTF-8" ?>
<vot:VOTABLE version="1.3" xmlns:vot="http://www.ivoa.net/xml/VOTable/v1.3">
<vot:COOSYS ID="J2000" equinox="J2000" epoch="J2000" system="eq_FK5"/>
<vot:INFO ID="status" name="QUERY_STATUS" value="OK"/>
<vot:INFO ID="ticket" name="Ticket" value="183080492634082511"/>
<vot:INFO ID="reqTarget" name="-c" value={target}/>
<vot:INFO ID="reqEpoch" name="Epoch" value={asked_epoch}/>
<vot:RESOURCE name="Skybot.ConeSearch"><vot:DESCRIPTION>List of the targets located in the FOV</vot:DESCRIPTION>
<vot:INFO name="QUERY_STATUS" value="OK"/>
<vot:PARAM ID="epoch" name="Epoch" datatype="char" arraysize="*" ucd="time.epoch" unit="d" value={epoch}/>
<vot:PARAM ID="fovRA" name="RA" datatype="double" ucd="pos.eq.ra" unit="deg" value={ra}/>
<vot:PARAM ID="fovDEC" name="DEC" datatype="double" ucd="pos.eq.dec" unit="deg" value={dec}/>
<vot:PARAM ID="fovSR" name="FOV" datatype="double" ucd="instr.fov" unit="arcsec" value={size}/>
<vot:PARAM ID="filter" name="Filter" datatype="double" unit="arcsec" value={limit}/>
<vot:PARAM ID="observer" name="Observer" datatype="char" arraysize="*" value={observer}/>
<vot:PARAM ID="refsys" name="RefSys" datatype="char" value="EQJ2000"/>
<vot:TABLE ID="SkybotConeSearch_results" name="SkybotConeSearch" nrows="{count}">
<vot:FIELD ID="num" name="Num" ucd="meta.id;meta.number" datatype="char" arraysize="6"/>
<vot:FIELD ID="name" name="Name" ucd="meta.id;meta.main" datatype="char" arraysize="32"/>
<vot:FIELD ID="ra" name="RA" datatype="char" arraysize="13" unit="h:m:s"/>
<vot:FIELD ID="de" name="DEC" datatype="char" arraysize="13" unit="d:m:s"/>
<vot:FIELD ID="class" name="Class" ucd="meta.code.class;src.class" datatype="char" arraysize="24"/>
<vot:FIELD ID="magV" name="Mv" ucd="phot.mag;em.opt.V" datatype="float" width="13" precision="2"/>
<vot:FIELD ID="errpos" name="ErrPos" datatype="float" width="10" precision="3" unit="arcsec"/>
<vot:FIELD ID="angdist" name="d" ucd="pos.ang" datatype="float" width="8" precision="3" unit="arcsec"/>
<vot:FIELD ID="dracosdec" name="dRAcosDec" datatype="double" width="12" unit="arcsec/h"/>
<vot:FIELD ID="ddec" name="dDEC" datatype="double" width="12" unit="arcsec/h"/>
<vot:FIELD ID="dgeo" name="Dgeo" datatype="double" width="15" unit="AU"/>
<vot:FIELD ID="dhelio" name="Dhelio" datatype="double" width="15" unit="AU"/>
<vot:FIELD ID="_raj2000" name="_RAJ2000" datatype="double" precision="9" width="13" unit="deg" type="hidden"/>
<vot:FIELD ID="_decj2000" name="_DECJ2000" datatype="double" precision="9" width="13" unit="deg" type="hidden"/>
<vot:FIELD ID="externallink" name="ExternalLink" datatype="char" arraysize="*" type="hidden"/>
<vot:DATA><vot:TABLEDATA>{rows}</vot:TABLEDATA>
</vot:DATA>
</vot:TABLE>
</vot:RESOURCE>
</vot:VOTABLE>
"""
