"""A stand-in of VizieR's ``votable`` programme: a real HTTP server on 127.0.0.1 that speaks its ASU protocol.

    with VizierService(stars) as service:
        ... REFCAT_URL = service.url ...
    service.questions  # what was asked: one dict of parameters per query

`stars` is a table RA, DEC (deg at 2016.0), PMRA, PMDEC (mas/yr), MAG; NaN motions are left blank as there. The
parameters are those of https://vizier.cds.unistra.fr/doc/asu-summary.htx, the reply has the structure of a
recorded one. `service.plan` makes the next queries fail, each in its own way.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

import numpy as np
import pandas as pd

from ssosd.sphere import separation_arcsec
from tests.loopback import Loopback, LoopbackHandler

#: Column there: (unit, digits, ours, and what ours is multiplied with).
COLUMNS = {
    "RA_ICRS": ("deg", 11, "RA", 1.0),
    "DE_ICRS": ("deg", 11, "DEC", 1.0),
    "e_RA_ICRS": ("mas", 4, "ERR", 1e3),
    "e_DE_ICRS": ("mas", 4, "ERR", 1e3),
    "pmRA": ("mas/yr", 3, "PMRA", 1.0),
    "pmDE": ("mas/yr", 3, "PMDEC", 1.0),
    "e_pmRA": ("mas/yr", 3, "PM_ERR", 1.0),
    "e_pmDE": ("mas/yr", 3, "PM_ERR", 1.0),
    "Gmag": ("mag", 6, "MAG", 1.0),
    "e_Gmag": ("mag", 6, "MAGERR", 1.0),
    "BPmag": ("mag", 6, "BP", 1.0),
    "RPmag": ("mag", 6, "RP", 1.0),
}
_KIND = "text/xml; charset=utf-8"
#: What is said, at the end, of a table that has a part of the stars.
PARTS = {
    "overflow": '<INFO name="QUERY_STATUS" value="OVERFLOW"/>',
    "failed": '<INFO name="QUERY_STATUS" value="ERROR">time out &gt; 60 s</INFO>',
    "interrupted": '<INFO ID="Errors" value="****Query interrupted:\n a > b: truncated result"/>',
}
WAYS = (
    "right",
    "http500",
    "hang",
    "drop",
    "html",
    "truncated",
    "nothing",
    "no-table",
    "drip",
    "fewer-columns",
    "text-column",
    "twice",
    *PARTS,
)


class VizierService(Loopback):
    """The stand-in, listening while in its `with` block."""

    path = "/viz-bin/votable"

    def __init__(self, stars: pd.DataFrame, *, plan: Iterable[str] = (), way: str = "right") -> None:
        super().__init__(plan=plan, way=way)
        self.questions: list[dict[str, str]] = []
        usual = {"ERR": 0.0001, "PM_ERR": 0.1, "MAGERR": 0.003, "PMRA": 0.0, "PMDEC": 0.0}
        self.stars = stars.assign(**{name: v for name, v in usual.items() if name not in stars})
        for colour in {"BP", "RP"} - set(stars.columns):
            self.stars[colour] = self.stars["MAG"] + (0.4 if colour == "BP" else -0.5)

    def found(self, asked: dict[str, str]) -> pd.DataFrame:
        """The stars in the circle that was asked for and as bright as was asked for, nearest first."""
        place = re.fullmatch(r"([\d.]+)([+-][\d.]+)", asked["-c"])
        assert place is not None, asked["-c"]
        radius_arcsec = 3600.0 * float(asked["-c.rd"])
        faintest = re.fullmatch(r"<=([\d.]+)", asked["Gmag"])
        assert faintest is not None
        ra, dec = map(float, place.groups())
        away = separation_arcsec(ra, dec, self.stars["RA"], self.stars["DEC"])
        wanted = (away <= radius_arcsec) & (self.stars["MAG"] <= float(faintest[1])).to_numpy()
        return self.stars.assign(_r=away)[wanted].sort_values("_r", kind="stable")


class _Handler(LoopbackHandler):
    service: VizierService

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = dict(line.split("=", 1) for line in body.splitlines() if "=" in line)
        service = self.service
        service.questions.append(asked)
        way = service.next_way()
        assert self.path == service.path
        assert asked["-source"] == "I/355/gaiadr3"
        assert asked["-out.max"] == "unlimited"
        try:
            self._answer(way, asked)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer(self, way: str, asked: dict[str, str]) -> None:
        assert way in WAYS, way
        if self.answer_badly(way):
            return
        names = asked["-out"].split(",")
        assert set(names) <= set(COLUMNS)
        found = self.service.found(asked)
        page = votable(
            found.iloc[: len(found) // 2] if way in PARTS else found,
            names[:-1] if way == "fewer-columns" else names,
        )
        if way in PARTS:
            page = page.replace("</RESOURCE>", f"{PARTS[way]}</RESOURCE>")
        if way == "text-column":
            page = page.replace(
                'name="Gmag" ucd="" datatype="double"', 'name="Gmag" datatype="char" arraysize="*"'
            )
        if way == "twice":  # in two resources, as of a catalogue and its copy
            first, end = page.index("<RESOURCE"), page.index("</VOTABLE>")
            page = page[:end] + page[first:end].replace('ID="', 'ID="copy_') + page[end:]
        if way == "no-table":
            page = page[: page.index("<TABLE")] + "</RESOURCE></VOTABLE>"
        data = page.encode()
        if way == "truncated":
            self.send(data[: int(0.7 * len(data))], kind=_KIND)
        elif way == "drip":
            self.head(200, _KIND, len(data))
            self.drip(data)
        else:
            self.send(data, kind=_KIND)


VizierService.handler = _Handler


def votable(found: pd.DataFrame, names: list[str]) -> str:
    """A reply, digits as printed there."""
    fields = "".join(
        f'<FIELD name="{name}" ucd="" datatype="double" width="15" precision="{COLUMNS[name][1]}" '
        f'unit="{COLUMNS[name][0]}"><DESCRIPTION>{name}</DESCRIPTION></FIELD>\n'
        for name in names
    )
    values = {n: found[COLUMNS[n][2]].to_numpy(np.float64) * COLUMNS[n][3] for n in names}
    cells = {n: ["" if np.isnan(v) else f"{v:.{COLUMNS[n][1]}f}" for v in values[n]] for n in names}
    rows = "".join(
        "<TR>" + "".join(f"<TD>{cell}</TD>" for cell in row) + "</TR>\n"
        for row in zip(*cells.values(), strict=True)
    )
    now = time.strftime("%Y-%m-%dT%H:%M:%S")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<VOTABLE version="1.4" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"\n'
        '  xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
        f"<DESCRIPTION>VizieR Astronomical Server {now}</DESCRIPTION>\n"
        '<INFO ID="VERSION" name="votable-version" value="1.99+ (14-Oct-2013)"/>\n'
        '<RESOURCE ID="yCat_1355" name="I/355">\n<DESCRIPTION>Gaia DR3 Part 1. Main source</DESCRIPTION>\n'
        '<COOSYS ID="H_2016.000" system="ICRS" epoch="2016.000"/>\n'
        '<TABLE ID="I_355_gaiadr3" name="I/355/gaiadr3">\n<DESCRIPTION>Gaia DR3</DESCRIPTION>\n'
        f"{fields}<DATA><TABLEDATA>\n{rows}</TABLEDATA></DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n"
    )
