"""Every column of ``candidates.csv``: order, unit and meaning; `docs/output.md` is made from this table.

``python -m ssosd.reports.columns`` prints that part of the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["int", "float", "str", "bool"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table of candidates."""

    name: str
    kind: Kind  # type of its values
    unit: str  # "" when it has none
    meaning: str  # one sentence
    always: bool = True  # False: only there when the step that makes it was wanted


def _c(name: str, kind: Kind, unit: str, meaning: str) -> Column:
    return Column(name, kind, unit, meaning)


def _o(name: str, kind: Kind, unit: str, meaning: str) -> Column:
    return Column(name, kind, unit, meaning, always=False)


#: In the order of the file: the seed's columns first, then what ssosd adds, then what the shipped
#: SEX_PARAMS measures beyond them.
CANDIDATE_COLUMNS: tuple[Column, ...] = (
    _c("SOURCE_NUMBER", "int", "", "Number of the source in its field; the same in all its rows."),
    _c(
        "CATALOG_NUMBER",
        "int",
        "",
        "Exposure of this detection, counted from 1 in order of time in the sequence.",
    ),
    _c("RA", "float", "deg", "Right ascension, ICRS, by SCAMP's astrometric solution."),
    _c("DEC", "float", "deg", "Declination, ICRS, by SCAMP's astrometric solution."),
    _c("EPOCH", "float", "yr", "Middle of the exposure, UTC, as a Julian epoch (2000.0 is MJD 51544.5)."),
    _c(
        "MAG",
        "float",
        "mag",
        "Instrumental magnitude (SExtractor's MAG_AUTO with the set-up's MAG_ZEROPOINT).",
    ),
    _c("MAGERR", "float", "mag", "Its standard error."),
    _c("FLUX", "float", "counts", "Flux that MAG comes from."),
    _c("FLUXERR", "float", "counts", "Its standard error."),
    _c(
        "PM",
        "float",
        '"/h',
        "Rate of motion on the sky; the same in all rows of a source, as are the next five.",
    ),
    _c("PMERR", "float", '"/h', "Its standard error."),
    _c("PMRA", "float", '"/h', "Rate of motion in right ascension, with cos Dec."),
    _c("PMRA_ERR", "float", '"/h', "Its standard error."),
    _c("PMDEC", "float", '"/h', "Rate of motion in declination."),
    _c("PMDEC_ERR", "float", '"/h', "Its standard error."),
    _c("MID_EXPOSURE_MJD", "float", "d", "Middle of the exposure, UTC, Modified Julian Date."),
    _c("DATE-OBS", "str", "", "Start of the exposure, UTC, ISO 8601."),
    _c("EXPTIME", "float", "s", "Exposure time."),
    _c("OBJECT", "str", "", "Target as the header names it; blank when it does not."),
    _c("FILTER", "str", "", "Filter as the header names it; blank when it does not."),
    _c("RA_IMAGE", "float", "deg", "Right ascension of the exposure's centre, ICRS, by its header."),
    _c("DEC_IMAGE", "float", "deg", "Declination of the exposure's centre, ICRS, by its header."),
    _c("IMAGE_FILENAME", "str", "", "File of the exposure, without its folder."),
    _c("EXTENSION", "int", "", "Index of the chip's HDU in that file, 0 for the primary one."),
    _c("XWIN_IMAGE", "float", "pixel", "Windowed centre on the chip, first axis, first pixel is 1."),
    _c("YWIN_IMAGE", "float", "pixel", "Windowed centre on the chip, second axis, first pixel is 1."),
    _c("AWIN_IMAGE", "float", "pixel", "Windowed rms size along the major axis."),
    _c(
        "ERRAWIN_IMAGE",
        "float",
        "pixel",
        "Standard error of the windowed centre along the error's major axis.",
    ),
    _c("BWIN_IMAGE", "float", "pixel", "Windowed rms size along the minor axis."),
    _c(
        "ERRBWIN_IMAGE",
        "float",
        "pixel",
        "Standard error of the windowed centre along the error's minor axis.",
    ),
    _c("THETAWIN_IMAGE", "float", "deg", "Angle of the major axis, from the first axis towards the second."),
    _c("ERRTHETAWIN_IMAGE", "float", "deg", "Angle of the error's major axis, counted alike."),
    _c("ERRA_WORLD", "float", "deg", "Standard error of the position along its major axis, on the sky."),
    _c("ERRB_WORLD", "float", "deg", "Standard error of the position along its minor axis, on the sky."),
    _c("ERRTHETA_WORLD", "float", "deg", "Position angle of that major axis."),
    _c("SNR_WIN", "float", "", "Signal-to-noise ratio in a Gaussian window."),
    _c(
        "FLAGS_EXTRACTION",
        "int",
        "",
        "SExtractor's flags: 1 crowded, 2 blended, 4 saturated, 8 truncated, ...",
    ),
    _c(
        "FLAGS_SCAMP",
        "int",
        "",
        "SCAMP's flags of the detection: 64 it does not fit the motion of its source, ...",
    ),
    _c("FLAGS_IMA", "int", "", "Flags of the flag image; 0 without one."),
    _c(
        "FLAGS_SSOS",
        "int",
        "",
        "Sum of ssosd's own flags: 1 the exposure is an outlier in time (IDENTIFY_OUTLIER), 2 reference of "
        "FIXED_APER_MAGS, 16 pieces of a trail joined, 32 its place along the trail is the motion's, 64 "
        "place and light of the whole trail (FIT_TRAILS), 128 a star at rest that it swallowed was taken out "
        "of its place and light, 256 MAG_CALIB is of light in the stars' shape (FIT_MAGS), 512 "
        "a star at rest covers more than half of its light: its place is the star's in part, 1024 it stands "
        "at one place of the detector, with the light of a star, 2048 the telescope followed it: it is a "
        "point where stars are trails, and MAG_CALIB is SExtractor's.",
    ),
    _c("MATCHED", "bool", "", "Whether it certainly is the known object of the next columns."),
    _c(
        "SKYBOT_NUMBER",
        "str",
        "",
        "Number of the known object that it is or may be; blank when that has none.",
    ),
    _c("SKYBOT_NAME", "str", "", "Its name or provisional designation."),
    _c("SKYBOT_CLASS", "str", "", "Its dynamical class as SkyBoT has it, e.g. MB>Outer."),
    _c("SKYBOT_MAG", "float", "mag", "Its predicted magnitude in V."),
    _c("SKYBOT_RA", "float", "deg", "Its predicted right ascension at mid-exposure, ICRS."),
    _c("SKYBOT_DEC", "float", "deg", "Its predicted declination at mid-exposure, ICRS."),
    _c("SKYBOT_PMRA", "float", '"/h', "Its predicted rate in right ascension, with cos Dec."),
    _c("SKYBOT_PMDEC", "float", '"/h', "Its predicted rate in declination."),
    _c("SKYBOT_DELTARA", "float", '"', "Detection minus prediction in right ascension, with cos Dec."),
    _c("SKYBOT_DELTADEC", "float", '"', "Detection minus prediction in declination."),
    _o("MAG_APER", "float", "mag", "Magnitude in a fixed aperture (FIXED_APER_MAGS)."),
    _o("MAGERR_APER", "float", "mag", "Its standard error."),
    _o("FLUX_APER", "float", "counts", "Flux in that aperture."),
    _o("FLUXERR_APER", "float", "counts", "Its standard error."),
    _c("FIELD", "str", "", "Name of the field, also of its folder."),
    _c("CANDIDATE", "str", "", "Identifier of the candidate, unique in the night: the field and a number."),
    _c("LINKED_BY", "str", "", "Who linked the source: SCAMP, TRACKLET or BOTH."),
    _c(
        "SCORE",
        "float",
        "",
        "How far from chance the source is: minus the decimal logarithm of N_CHANCE; blank if SCAMP alone "
        "linked it.",
    ),
    _c("N_CHANCE", "float", "", "Sources as good as this one that chance alone would make in the field."),
    _c("CHI2_DOF", "float", "", "Chi-square of its motion on a great circle per degree of freedom."),
    _c("KNOWN_BY", "str", "", "Who knows of that object: SKYBOT, or MPCORB for our own ephemerides."),
    _c("MATCH_STATE", "str", "", "matched, possible, unknown, or unchecked when nobody could be asked."),
    _c("KNOWN_NEARBY", "str", "", "Other known objects within CROSSMATCH_RADIUS, with the least distance."),
    _c(
        "NEO_SCORE",
        "float",
        "",
        "How likely it is a near-Earth object, 0 to 100: digest2's NEO no-id score; blank for known objects "
        "and where no orbit fits.",
    ),
    _c(
        "EXTENDED",
        "float",
        "mag",
        "By how much the candidate is brighter in SExtractor's apertures than in the stars' shape, as a "
        "comet is by its coma; blank where that is less than 0.1 or 4 of its errors, or without FIT_MAGS.",
    ),
    _o("INSPECTED", "bool", "", "Whether a person gave a verdict on the candidate (table of the night)."),
    _o(
        "ASTEROID", "bool", "", "Whether that verdict is asteroid; an artifact has False here and in UNKNOWN."
    ),
    _o("UNKNOWN", "bool", "", "Whether that verdict is unknown."),
    _o(
        "ERR_POSITION",
        "float",
        '"',
        "Standard error of the position in each coordinate, as the field's stars show it.",
    ),
    _c(
        "MAG_CALIB",
        "float",
        "mag",
        "Calibrated magnitude, blank without a calibration and where other light is in it (FIT_MAGS); the "
        "only one that goes into a draft.",
    ),
    _c("MAG_CALIB_ERR", "float", "mag", "Its standard error."),
    _c("BAND", "str", "", "The MPC's letter of the band of MAG_CALIB."),
    _c("PHOT_CAT", "str", "", "Catalogue that MAG_CALIB was calibrated with."),
    _c("SEEING", "float", '"', "FWHM of the stars of its exposure."),
    _o("NUMBER", "int", "", "Number of the detection in its SExtractor catalogue."),
    _o("ALPHAWIN_J2000", "float", "deg", "Right ascension by the header's WCS, before SCAMP's solution."),
    _o("DELTAWIN_J2000", "float", "deg", "Declination by the header's WCS, before SCAMP's solution."),
    _o("ERRAWIN_WORLD", "float", "deg", "Standard error of that position along its major axis."),
    _o("ERRBWIN_WORLD", "float", "deg", "Standard error of that position along its minor axis."),
    _o("ERRTHETAWIN_WORLD", "float", "deg", "Angle of that major axis by SExtractor's convention."),
    _o("FLAGS_WEIGHT", "int", "", "SExtractor's flags of the weight map."),
    _o("FLAGS_WIN", "int", "", "SExtractor's flags of the windowed measurements; 0 when they converged."),
    _o("ELONGATION", "float", "", "Ratio of the rms sizes along the major and minor axes."),
    _o("ELLIPTICITY", "float", "", "1 minus the ratio of the minor to the major axis."),
    _o("FWHM_IMAGE", "float", "pixel", "Full width at half maximum for a Gaussian core."),
    _o("CLASS_STAR", "float", "", "SExtractor's classifier: 0 extended, 1 like a star."),
)

COLUMN_ORDER: tuple[str, ...] = tuple(c.name for c in CANDIDATE_COLUMNS)


def columns_markdown() -> str:
    """Write the columns as the table of `docs/output.md`."""
    lines = ["| column | unit | meaning |", "|---|---|---|"]
    for column in CANDIDATE_COLUMNS:
        optional = "" if column.always else " *(not always there)*"
        lines.append(f"| `{column.name}` | {column.unit or '-'} | {column.meaning}{optional} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(columns_markdown())
