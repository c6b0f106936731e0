"""The ADES drafts of a night, version 2022, as PSV and XML. Nothing is sent.

https://github.com/IAU-ADES/ADES-Master: ADES_Description.pdf and submit.xsd.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import pandas as pd

from ssosd.errors import BadInput
from ssosd.reports.ades.rows import FIELDS, NOTE2, Style, rows_of, time_decimals
from ssosd.reports.context import UNKNOWN_CATALOGUE, Context
from ssosd.reports.mpc80 import assign_designations, designate
from ssosd.reports.obs80 import Precision
from ssosd.reports.position_errors import position_errors, pull_of_known, trusted

VERSION = "2022"
_LINE = 100  # characters of a header's text at most
#: Always there, whatever they hold: the first three name the object.
_ALWAYS = frozenset({"permID", "provID", "trkSub", "mode", "stn", "obsTime", "ra", "dec", "astCat"})


@dataclass(frozen=True, kw_only=True, slots=True)
class AdesDraft:
    """Both forms of a draft and what a person must know before sending one."""

    psv: str  # "" when there is no observation
    xml: str  # UTF-8 with its declaration, "" when there is no observation
    n_observations: int
    problems: tuple[str, ...]  # what was left out or could not be filled in, one sentence each


def render_ades(
    *,
    candidates: pd.DataFrame,
    code: str,
    night: str,
    context: Context,
    ast_cat: str,
    mode: str = "CCD",
    designations: Mapping[str, str] | None = None,
    precision: Precision | None = None,
    scatter_arcsec: float = 0.0,
) -> AdesDraft:
    """Write the drafts of a night's candidates, by candidate and time.

    With the same candidates, designations and precision as `ssosd.reports.mpc80.render_draft` the same
    objects get the same names, and every number agrees with the 80 columns to their last digit.

    Parameters
    ----------
    candidates : DataFrame
        Detections with CANDIDATE, MID_EXPOSURE_MJD (UTC, d), RA, DEC (deg ICRS). Used where they are there:
        MATCHED, SKYBOT_NUMBER, SKYBOT_NAME, SKYBOT_DELTARA, SKYBOT_DELTADEC; ERRA_WORLD, ERRB_WORLD,
        ERRTHETA_WORLD (deg), FLAGS_SSOS; MAG_CALIB, MAG_CALIB_ERR, BAND, PHOT_CAT; SNR_WIN, SEEING (arcsec),
        EXPTIME (s), DATE-OBS, NOTES, REMARKS.
    code : str
        Observatory code.
    night : str
        ISO date of the evening, for the temporary designations.
    context : Context
        The header; what ADES demands and is not in it is a problem, never made up.
    ast_cat : str
        The MPC's name of the astrometric reference catalogue, see `ssosd.reports.context.catalogue_code`.
    mode : str
        ``CCD`` or ``CMO``.
    designations : mapping, optional
        CANDIDATE to temporary designation where they are given already.
    precision : Precision, optional
        Digits of the 80 columns.
    scatter_arcsec : float
        Scatter of the astrometric solution that ERRA_WORLD does not contain.

    Returns
    -------
    AdesDraft
        One candidate that cannot be written is a problem, and the others are there. Position errors that the
        known objects do not bear out are left out, and that is a problem.

    Raises
    ------
    BadInput
        A mode that no image of ours can have.
    """
    if mode not in NOTE2:
        raise BadInput(f"mode {mode!r}: {' or '.join(NOTE2)} is what an image has")
    problems: list[str] = []
    rows: list[dict[str, str]] = []
    if not candidates.empty:
        ordered = candidates.sort_values(
            ["CANDIDATE", "MID_EXPOSURE_MJD", "RA", "DEC"], kind="stable", ignore_index=True
        )
        rows, problems = _rows(
            ordered,
            names=assign_designations(ordered["CANDIDATE"], night=night, taken=designations),
            code=code,
            mode=mode,
            ast_cat=ast_cat,
            precision=precision or Precision(),
            scatter_arcsec=scatter_arcsec,
        )
    if not rows:
        return AdesDraft(psv="", xml="", n_observations=0, problems=tuple(problems))
    problems += [
        f"header: {name} is not known; ADES demands it, set {parameter}"
        for name, parameter in context.missing().items()
    ]
    if ast_cat == UNKNOWN_CATALOGUE:
        problems.append("the astrometric reference catalogue is not known: astCat is UNK; AST_CAT names it")
    header = header_elements(context, code=code)
    return AdesDraft(
        psv=psv_text(header, rows),
        xml=xml_text(header, rows),
        n_observations=len(rows),
        problems=tuple(problems),
    )


def _rows(
    ordered: pd.DataFrame,
    *,
    names: Mapping[str, str],
    code: str,
    mode: str,
    ast_cat: str,
    precision: Precision,
    scatter_arcsec: float,
) -> tuple[list[dict[str, str]], list[str]]:
    problems, rows = [], []
    starts = ordered["DATE-OBS"].astype(str).tolist() if "DATE-OBS" in ordered else []
    style = Style(
        code=code,
        mode=mode,
        ast_cat=ast_cat,
        precision=precision,
        time_decimals=time_decimals(starts, precision=precision),
    )
    pull = pull_of_known(ordered, position_errors(ordered, scatter_arcsec=scatter_arcsec))
    if not trusted(pull):
        problems.append(
            f"the known objects scatter {pull:.2f} times the stated position errors: these are left out"
        )
    for candidate, own in ordered.groupby("CANDIDATE", sort=True):
        try:
            designation, _ = designate(str(candidate), own, names)
            errors = position_errors(own, scatter_arcsec=scatter_arcsec) if trusted(pull) else None
            rows += rows_of(own, designation, style=style, errors=errors)
        except BadInput as error:
            problems.append(f"candidate {candidate} is not in the ADES draft: {error}")
    return rows, problems


def header_elements(context: Context, *, code: str) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """The header as (element, its text, [(element below it, text)]), in the order of the schema's list."""

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:g}"

    below: list[tuple[str, Iterable[tuple[str, str]]]] = [
        ("observatory", [("mpcCode", code), ("name", context.observatory)]),
        ("submitter", [("name", context.submitter), ("institution", context.institution)]),
        ("observers", [("name", name) for name in context.observers]),
        ("measurers", [("name", name) for name in context.measurers]),
        (
            "telescope",
            [
                ("name", context.telescope),
                ("design", context.design),
                ("aperture", number(context.aperture_m)),
                ("detector", context.detector),
                ("fRatio", number(context.f_ratio)),
                ("pixelScale", number(context.pixel_scale_arcsec)),
            ],
        ),
        ("software", context.software),
    ]
    elements = [(name, "", [(n, _line(t)) for n, t in inner if _line(t)]) for name, inner in below]
    elements = [element for element in elements if element[2]]
    if context.funding:
        elements.append(("fundingSource", _line(context.funding), []))
    if lines := [("line", _line(text)) for text in context.comments if _line(text)]:
        elements.append(("comment", "", lines))
    return elements


def psv_text(
    header: Sequence[tuple[str, str, list[tuple[str, str]]]], rows: Sequence[Mapping[str, str]]
) -> str:
    """One block of PSV: header lines, the names of the columns, aligned rows."""
    lines = [f"# version={VERSION}"]
    for name, text, inner in header:
        lines.append(f"# {name} {text}".rstrip())
        lines += [f"! {n} {t}" for n, t in inner]
    used = [name for name in FIELDS if name in _ALWAYS or any(name in row for row in rows)]
    width = {name: max(len(name), *(len(row.get(name, "")) for row in rows)) for name in used}
    lines.append("|".join(f"{name:<{width[name]}}" for name in used).rstrip())
    lines += ["|".join(f"{row.get(name, ''):<{width[name]}}" for name in used) for row in rows]
    return "".join(f"{line}\n" for line in lines)


def xml_text(
    header: Sequence[tuple[str, str, list[tuple[str, str]]]], rows: Sequence[Mapping[str, str]]
) -> str:
    """One block of XML."""
    root = ElementTree.Element("ades", version=VERSION)
    block = ElementTree.SubElement(root, "obsBlock")
    above = ElementTree.SubElement(block, "obsContext")
    for name, text, inner in header:
        element = ElementTree.SubElement(above, name)
        element.text = text or None
        for n, t in inner:
            ElementTree.SubElement(element, n).text = t
    data = ElementTree.SubElement(block, "obsData")
    for row in rows:
        optical = ElementTree.SubElement(data, "optical")
        for name in FIELDS:
            if name in row:
                ElementTree.SubElement(optical, name).text = row[name]
    ElementTree.indent(root)
    return f"<?xml version='1.0' encoding='UTF-8'?>\n{ElementTree.tostring(root, encoding='unicode')}\n"


def _line(text: str) -> str:
    """Text on one line that XML and PSV can hold, no longer than the schema allows."""
    printable = "".join(c if c.isprintable() else " " for c in text.replace("|", "/"))
    return " ".join(printable.split())[:_LINE].rstrip()
