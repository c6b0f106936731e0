"""Who observed with what: the headers of both drafts from one set of facts. Nothing is made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssosd.astromatic_setup import read_setup

#: The MPC's names of astrometric reference catalogues, as the 80-column record NET writes them.
NET_NAMES = {
    "Gaia3": "Gaia DR3",
    "Gaia3E": "Gaia EDR3",
    "Gaia2": "Gaia DR2",
    "Gaia1": "Gaia DR1",
    "PS1_DR1": "Pan-STARRS DR1",
    "PS1_DR2": "Pan-STARRS DR2",
    "ATLAS2": "ATLAS-2",
    "UCAC4": "UCAC-4",
    "UCAC5": "UCAC-5",
    "URAT1": "URAT-1",
}
#: What SCAMP's ASTREF_CATALOG is called in ADES. PPMX (Roeser et al. 2008, VizieR I/312) has no name there:
#: PPMXL (2010, I/317) is another catalogue.
SCAMP_CATALOGUES = {
    "REFCAT": "Gaia3",
    "GAIA-DR3": "Gaia3",
    "GAIA-EDR3": "Gaia3E",
    "GAIA-DR2": "Gaia2",
    "GAIA-DR1": "Gaia1",
    "PANSTARRS-1": "PS1_DR1",
    "UCAC-4": "UCAC4",
    "UCAC-3": "UCAC3",
    "URAT-1": "URAT1",
    "2MASS": "2MASS",
    "USNO-A2": "USNOA2",
    "USNO-B1": "USNOB1",
    "GSC-2.3": "GSC2.3",
    "NOMAD-1": "NOMAD",
    "TYCHO-2": "Tyc2",
    "CMC-15": "CMC15",
    "SDSS-R8": "SDSS8",
    "SDSS-R7": "SDSS7",
}
UNKNOWN_CATALOGUE = "UNK"
#: What ADES demands in a header: by its element, the parameter that tells it.
DEMANDED = {
    "submitter/name": "SUBMITTER",
    "measurers/name": "MEASURERS",
    "telescope/design": "TELESCOPE_DESIGN",
    "telescope/aperture": "TELESCOPE_APERTURE",
    "telescope/detector": "DETECTOR",
}


def catalogue_code(scamp_name: str) -> str:
    """The MPC's name of a catalogue that SCAMP knows by its own; UNK for a file of a person's.

    >>> catalogue_code("GAIA-EDR3"), catalogue_code("FILE")
    ('Gaia3E', 'UNK')
    """
    return SCAMP_CATALOGUES.get(scamp_name.strip().upper(), UNKNOWN_CATALOGUE)


def reference_code(config: Mapping[str, Any]) -> str:
    """The MPC's name of the reference catalogue that a configuration solves with; UNK when it is not told.

    Raises
    ------
    Misconfigured
        The set-up file of SCAMP cannot be read.
    """
    if config["AST_CAT"] != "AUTO":
        return str(config["AST_CAT"])
    named = config["ASTREF_CATALOG"]
    if isinstance(named, Path):
        return UNKNOWN_CATALOGUE
    return catalogue_code(named or read_setup(config["SCAMP_CONFIG"]).get("ASTREF_CATALOG", ""))


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """The facts of a draft's header; "" and empty tuples where they are not known."""

    submitter: str = ""  # who sends it: initials and family name, as all names
    observers: tuple[str, ...] = ()
    measurers: tuple[str, ...] = ()
    design: str = ""  # of the telescope: Reflector, Schmidt-Cassegrain ...
    aperture_m: float | None = None  # metres
    detector: str = ""  # CCD, CMOS ...
    f_ratio: float | None = None
    telescope: str = ""  # name, optional
    pixel_scale_arcsec: float | None = None  # optional
    institution: str = ""  # of the submitter, optional
    observatory: str = ""  # name, optional
    funding: str = ""  # optional
    contact: str = ""  # address for CON, optional
    email: str = ""  # AC2: where the MPC acknowledges to
    acknowledgement: str = ""  # ACK: the name of the batch
    comments: tuple[str, ...] = ()
    software: tuple[tuple[str, str], ...] = ()  # (astrometry | photometry | objectDetection, name)

    def missing(self) -> dict[str, str]:
        """What of `DEMANDED` is not there."""
        told = (self.submitter, self.measurers, self.design, (self.aperture_m or 0.0) > 0.0, self.detector)
        return {
            element: parameter
            for (element, parameter), there in zip(DEMANDED.items(), told, strict=True)
            if not there
        }

    def mpc80_header(self, *, ast_cat: str) -> dict[str, str | Sequence[str]]:
        """Records for `ssosd.reports.mpc80.render_draft`, those alone that are known.

        Parameters
        ----------
        ast_cat : str
            The MPC's name of the reference catalogue.

        Examples
        --------
        >>> Context(submitter="A. Nobody", design="Reflector", aperture_m=0.6, f_ratio=4,
        ...         detector="CCD").mpc80_header(ast_cat="Gaia3")
        {'CON': 'A. Nobody', 'TEL': '0.6-m f/4 Reflector + CCD', 'NET': 'Gaia DR3'}
        """
        where = f", {self.contact}" if self.contact else ""
        mail = f" [{self.email}]" if self.email else ""
        telescope = [f"{self.aperture_m:g}-m"] if self.aperture_m else []
        telescope += [f"f/{self.f_ratio:g}"] if self.f_ratio else []
        telescope += [self.design] if self.design else []
        telescope += ["+", self.detector] if self.detector and telescope else []
        net = "" if ast_cat == UNKNOWN_CATALOGUE else NET_NAMES.get(ast_cat, ast_cat)
        records: dict[str, str | Sequence[str]] = {
            "CON": f"{self.submitter}{where}{mail}" if self.submitter else "",
            "OBS": ", ".join(self.observers),
            "MEA": ", ".join(self.measurers),
            "TEL": " ".join(telescope),
            "NET": net,
            "COM": self.comments,
            "ACK": self.acknowledgement,
            "AC2": self.email,
        }
        return {key: value for key, value in records.items() if value}
