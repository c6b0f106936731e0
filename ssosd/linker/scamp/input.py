"""The catalogues of a sequence as SCAMP gets them: copies in which every detection carries its row number.

SCAMP's full catalogue does not say which row of which SExtractor catalogue a detection was, but SCAMP copies
IMAFLAGS_ISO, a 32-bit integer, unchanged to FLAGS_IMA. In the copies that column holds the number of the
detection, counted over all chips and exposures of the sequence; SCAMP's masks on it are set to 0. The
flags that SExtractor measured stay in the original and are joined by that number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.io import fits
from numpy.typing import ArrayLike, NDArray

from ssosd.days import DAY_S
from ssosd.errors import BadInput, Misconfigured
from ssosd.ldac import LdacChip, headers_from_text, ldac_bytes, objects_frame, read_ldac
from ssosd.linker.scamp.setup import Setup
from ssosd.model import Exposure

ROW_NUMBER = "IMAFLAGS_ISO"
#: FLAGS bit in the copies for what ASTR_IMAFLAGSMASK masks; SExtractor itself uses bits 0 to 7.
MASKED_FLAG = 0x4000
_LARGEST_MASK = 0xFFFF_FFFF  # flags have 32 bits at most
NEEDED = (
    *("XWIN_IMAGE", "YWIN_IMAGE", "AWIN_IMAGE", "ERRAWIN_IMAGE", "BWIN_IMAGE", "ERRBWIN_IMAGE"),
    *("THETAWIN_IMAGE", "ERRTHETAWIN_IMAGE", "FLUX_AUTO", "FLUXERR_AUTO", "MAG_AUTO", "MAGERR_AUTO"),
    *("SNR_WIN", "FLAGS"),
)
# A day's fraction: exposures of one instant are set apart by it, or SCAMP orders them by memory address.
_TIE_STEP_DAYS = 1e-3 / DAY_S
_WCS_KEYWORD = re.compile(
    r"(CTYPE|CRVAL|CRPIX|CUNIT|CDELT|CROTA)[12]$|(CD|PC)0*[12]_0*[12]$|PV[12]_\d+$|PROJP\d+$|"
    r"(A|B|AP|BP)_(ORDER|DMAX|\d_\d)$|(LON|LAT)POLE$|EQUINOX$|RADESYS$|RADECSYS$"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One exposure on its way through SCAMP."""

    exposure: Exposure
    name: str  # of its files, without suffix
    mjd_start: float  # UTC; different for all frames of a sequence
    chips: tuple[LdacChip, ...]  # as SExtractor measured them
    headers: tuple[fits.Header, ...]  # of the chips, with what .ahead adds


def load_frame(exposure: Exposure, catalogue: Path) -> Frame:
    """Read an exposure's SExtractor catalogue and the ``.ahead`` file beside it.

    Raises
    ------
    BadInput
        The catalogue cannot be read, is empty, has other chips than the exposure or no WCS.
    Misconfigured
        The catalogue lacks a column.
    """
    chips = tuple(read_ldac(catalogue))
    if len(chips) != len(exposure.chips):
        raise BadInput(
            f"{catalogue}: has {len(chips)} chips, {exposure.name} has {len(exposure.chips)} science images"
        )
    if not any(len(chip.objects) for chip in chips):
        raise BadInput(f"{catalogue}: no detection in it")
    for chip in chips:
        missing = [name for name in NEEDED if name not in (chip.objects.dtype.names or ())]
        if missing:
            raise Misconfigured(
                f"{catalogue}: SExtractor measured no {', '.join(missing)}",
                next_step="add the columns to the SEX_PARAMS file",
            )
    ahead = catalogue.with_suffix(".ahead")
    added = headers_from_text(ahead.read_bytes()) if ahead.exists() else []
    headers = tuple(
        with_cards(chip.header, added[i] if i < len(added) else fits.Header()) for i, chip in enumerate(chips)
    )
    for header in headers:
        lacking = [keyword for keyword in ("CTYPE1", "CTYPE2", "CRVAL1", "CRVAL2") if keyword not in header]
        if lacking:
            raise BadInput(f"{catalogue}: no {', '.join(lacking)} in its header nor in {ahead.name}: no WCS")
    return Frame(
        exposure=exposure,
        name=_file_name(catalogue.stem),
        mjd_start=exposure.mjd_start,
        chips=chips,
        headers=headers,
    )


def _file_name(stem: str) -> str:
    """Name that is no option, no list and none of SCAMP's own files."""
    name = re.sub(r"[^A-Za-z0-9._+-]", "_", stem).lstrip("-.") or "exposure"
    return f"exposure_{name}" if name.startswith(("full_", "merged_")) else name


def in_order(frames: Iterable[Frame]) -> list[Frame]:
    """Frames by time of mid-exposure, then digest, with different names and different times."""
    ordered: list[Frame] = []
    for frame in sorted(frames, key=lambda f: (f.exposure.mjd_mid, f.exposure.digest)):
        taken = {f.name for f in ordered}
        name = frame.name if frame.name not in taken else f"{frame.name}-{frame.exposure.digest[:8]}"
        start, half = frame.exposure.mjd_start, frame.exposure.exptime_s / 2.0 / DAY_S
        if ordered:
            last = ordered[-1]
            earliest = last.mjd_start + last.exposure.exptime_s / 2.0 / DAY_S + _TIE_STEP_DAYS
            start = max(start, earliest - half)
        ordered.append(replace(frame, name=name, mjd_start=start))
    return ordered


def with_cards(header: fits.Header, added: fits.Header) -> fits.Header:
    """Copy of a header with further cards; a WCS among them (with CTYPE1) replaces the old one as a whole."""
    new_wcs, new = "CTYPE1" in added, set(added)
    kept = (
        card
        for card in header.cards
        if card.keyword not in new and not (new_wcs and _WCS_KEYWORD.match(card.keyword))
    )
    return fits.Header([copy(card) for card in (*kept, *added.cards)])


def only_wcs(header: fits.Header) -> fits.Header:
    """The cards of a header that say where on the sky its pixels are."""
    return fits.Header([copy(card) for card in header.cards if _WCS_KEYWORD.match(card.keyword)])


def all_detections(frames: Sequence[Frame]) -> pd.DataFrame:
    """All detections of a sequence, one row each in the order of their numbers.

    Returns
    -------
    DataFrame
        The columns of the SExtractor catalogues, and FRAME and CHIP (0-based).
    """
    parts = []
    for i, frame in enumerate(frames):
        for k, chip in enumerate(frame.chips):
            part = objects_frame(chip.objects)
            part["FRAME"], part["CHIP"] = i, k
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def usable(detections: pd.DataFrame, *, setup: Setup) -> NDArray[np.bool_]:
    """Which detections SCAMP is given: those with finite numbers that IMAFLAGS_MASK does not mask.

    Raises
    ------
    Misconfigured
        SExtractor did not measure what CENTROID_KEYS names.
    """
    centroid = setup.words("CENTROID_KEYS")[:2]
    missing = [name for name in centroid if name not in detections]
    if missing:
        raise Misconfigured(
            f"{setup.path}: CENTROID_KEYS names {', '.join(missing)}, which SExtractor did not measure",
            next_step="add the columns to the SEX_PARAMS file",
        )
    columns = [*centroid, "FLUX_AUTO", "FLUXERR_AUTO", "ERRAWIN_IMAGE"]
    keep = np.isfinite(detections[columns].to_numpy(dtype=np.float64)).all(axis=1)
    mask = setup.integer("IMAFLAGS_MASK")
    if mask and ROW_NUMBER in detections:
        keep &= ~has_flag(detections[ROW_NUMBER], mask)
    return keep


def has_flag(flags: ArrayLike, mask: int) -> NDArray[np.bool_]:
    """Which flags have a bit of a mask, that may have more bits than they: 0xffff for the 16 of FLAGS.

    >>> has_flag(np.array([0, 4], dtype=np.int16), 0xFFFF).tolist()
    [False, True]
    """
    return (np.asarray(flags).astype(np.int64) & (mask & _LARGEST_MASK)) != 0


def write_inputs(
    frames: Sequence[Frame],
    folder: Path,
    *,
    setup: Setup,
    keep: NDArray[np.bool_],
    headers: Mapping[int, Sequence[fits.Header]] | None = None,
) -> list[str]:
    """Write the copies for SCAMP.

    Parameters
    ----------
    frames : sequence of Frame
        In order; detections are numbered from 0 through all of them.
    folder : Path
        Where to.
    setup : Setup
        Of SCAMP.
    keep : ndarray of bool, shape (n_detections,)
        Detections to write.
    headers : mapping, optional
        Solved headers of a frame's chips, by the frame's index.

    Returns
    -------
    list of str
        File names in `folder`, in the order of the frames.
    """
    masked = setup.integer("ASTR_IMAFLAGSMASK")
    names, first = [], 0
    for i, frame in enumerate(frames):
        chips = []
        for k, chip in enumerate(frame.chips):
            rows = first + np.flatnonzero(keep[first : first + len(chip.objects)])
            objects = _numbered(chip.objects[rows - first], rows, masked)
            header = with_cards(frame.headers[k], headers[i][k] if headers else fits.Header())
            header["MJD-OBS"] = frame.mjd_start
            header[setup.words("EXPOTIME_KEY")[0]] = frame.exposure.exptime_s
            chips.append(LdacChip(header=header, objects=objects))
            first += len(chip.objects)
        names.append(f"{frame.name}.cat")
        (folder / names[-1]).write_bytes(ldac_bytes(chips))  # for SCAMP alone: nothing to be flushed
    return names


def _numbered(objects: NDArray[Any], rows: NDArray[np.intp], masked: int) -> NDArray[Any]:
    """Detections with their numbers in ROW_NUMBER."""
    columns = [name for name in objects.dtype.names or () if name != ROW_NUMBER]
    kinds = [(name, objects.dtype[name]) for name in columns]
    result = np.empty(len(objects), dtype=np.dtype([*kinds, (ROW_NUMBER, np.int32)]))
    for name in columns:
        result[name] = objects[name]
    result[ROW_NUMBER] = rows
    if masked and ROW_NUMBER in (objects.dtype.names or ()):
        result["FLAGS"] |= np.where(has_flag(objects[ROW_NUMBER], masked), MASKED_FLAG, 0).astype(
            result["FLAGS"].dtype
        )
    return result
