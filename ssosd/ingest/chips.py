"""Which HDUs of a file are its science chips, and where each is on the sky."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from astropy.io import fits

from ssosd.errors import BadInput
from ssosd.ingest.fitsblocks import FitsLayout, Hdu
from ssosd.ingest.tpv import ScampWcs, pixel_scale_arcsec, to_scamp
from ssosd.ingest.wcs import SkyMap, needs_tables, read_sky
from ssosd.ingest.wcscards import has_wcs

MIN_SIDE_PX = 8  # an image smaller than this in x or y is a spectrum, a line of overscan or a mistake
#: EXTNAMEs of images that belong to a science image but are none (LCO, HST, DECam, NOAO, LSST, THELI, ...).
_AUXILIARY = re.compile(
    r"(?:^|[_\-. ])(?:BPM|BADPIX\w*|MASK|MSK|DQ|FLAGS?|WEIGHTS?|WGT|WHT|WTMAP|IVAR|INVVAR|VAR|VARIANCE"
    r"|ERR|ERRORS?|UNCERT\w*|NOISE|RMS|SIGMA|CAT|CATALOG\w*|SKY|BKG|BACKGROUND|PSF|CONF|CONFIDENCE|EXPMAP"
    r"|COVERAGE|SAMP|PREVIEW|THUMB\w*)[ _-]?\d*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class ScienceChip:
    """One science image and its world coordinates."""

    hdu: Hdu
    width: int  # pixels
    height: int  # pixels
    sky: SkyMap
    scamp: ScampWcs
    scale_arcsec: float  # mean pixel scale, arcsec/pixel
    own_wcs: bool  # False when the WCS is in the primary header only


def select(
    layout: FitsLayout, *, extensions: tuple[int, ...] | None, name: str
) -> tuple[tuple[Hdu, ...], tuple[str, ...]]:
    """Choose the HDUs that hold the science images.

    A number is an HDU index with the primary as 0, as in SExtractor's ``file.fits[n]``. As there, 1 also
    means the primary when that is the file's only image.

    Parameters
    ----------
    layout : FitsLayout
    extensions : tuple of int, optional
        SCI_EXTENSION; None for all images that are not auxiliary (masks, weights, ...) by their EXTNAME.
    name : str
        Of the file, for messages.

    Returns
    -------
    hdus : tuple of Hdu
        In file order.
    warnings : tuple of str

    Raises
    ------
    BadInput
        A number is not there or is no 2-D image, or there is no science image at all.
    """
    if extensions is not None:
        chosen = {hdu.index: hdu for n in extensions for hdu in [_numbered(layout, n, name)]}
        return tuple(chosen[index] for index in sorted(chosen)), ()
    kept, skipped, warnings = [], [], []
    for hdu in layout.hdus:
        if not hdu.is_image:
            continue
        reason = _unusable(hdu)
        extname = hdu.cards.text("EXTNAME")
        if reason is None and _AUXILIARY.search(extname):
            reason = f"{extname} is an auxiliary image"
        if reason is None:
            kept.append(hdu)
        else:
            skipped.append(f"HDU {hdu.index}: {reason}")
            warnings.append(f"HDU {hdu.index} skipped: {reason}")
    if not kept:
        raise BadInput(
            f"{name}: no science image: {'; '.join(skipped[:3]) or _only(layout)}",
            next_step="a table, a spectrum or a header only? else set SCI_EXTENSION to the HDU of the image",
        )
    return tuple(kept), tuple(warnings)


def read_chips(
    path: Path, layout: FitsLayout, hdus: tuple[Hdu, ...], *, skip_bad: bool
) -> tuple[tuple[ScienceChip, ...], tuple[str, ...]]:
    """World coordinates of the chosen HDUs.

    Parameters
    ----------
    path : Path
    layout : FitsLayout
        Of `path`.
    hdus : tuple of Hdu
        From `select`.
    skip_bad : bool
        Leave HDUs out whose WCS is absent or unusable, with a warning, as long as one remains.

    Raises
    ------
    BadInput
        No (or, without `skip_bad`, not every) HDU has a usable WCS.
    """
    chips, warnings = [], []
    first_error: BadInput | None = None
    for hdu in hdus:
        try:
            chips.append(_read_chip(path, layout, hdu, sole=len(hdus) == 1))
        except BadInput as error:
            if not skip_bad:
                raise
            first_error = first_error or error
            warnings.append(f"HDU {hdu.index} skipped: {error.message.partition(': ')[2]}")
    if not chips:
        assert first_error is not None
        raise first_error
    return tuple(chips), tuple(warnings)


def _read_chip(path: Path, layout: FitsLayout, hdu: Hdu, *, sole: bool) -> ScienceChip:
    label = f"{path.name}[{hdu.index}]"
    assert hdu.plane is not None
    width, height = hdu.plane
    primary = layout.hdus[0]
    own = has_wcs(hdu.cards) or not (sole and not primary.is_image and has_wcs(primary.cards))
    cards = hdu.cards if own else primary.cards
    with ExitStack() as stack:
        tables = stack.enter_context(fits.open(path)) if needs_tables(cards) else None
        sky = read_sky(cards, width=width, height=height, label=label, tables=tables)
        scale = pixel_scale_arcsec(sky, label=label)
        scamp = to_scamp(sky, label=label)
    return ScienceChip(
        hdu=hdu, width=width, height=height, sky=sky, scamp=scamp, scale_arcsec=scale, own_wcs=own
    )


def _only(layout: FitsLayout) -> str:
    """What a file holds that has no image."""
    tables = sum(1 for hdu in layout.hdus if hdu.cards.text("XTENSION").upper() in {"BINTABLE", "TABLE"})
    if not tables:
        return "no HDU holds pixels (NAXIS=0)"
    return f"no HDU holds an image, {f'{tables} hold tables' if tables > 1 else 'one holds a table'}"


def _numbered(layout: FitsLayout, number: int, name: str) -> Hdu:
    images = [hdu for hdu in layout.hdus if hdu.is_image]
    if number == 1 and [hdu.index for hdu in images] == [0]:
        number = 0
    where = ", ".join(str(hdu.index) for hdu in images) or "none"
    if not 0 <= number < len(layout.hdus):
        reason = f"the file has HDUs 0 to {len(layout.hdus) - 1}"
    elif not layout.hdus[number].is_image:
        reason = f"HDU {number} holds no image"
    else:
        unusable = _unusable(layout.hdus[number])
        if unusable is None:
            return layout.hdus[number]
        reason = f"HDU {number}: {unusable}"
    raise BadInput(
        f"{name}: SCI_EXTENSION {number}: {reason}",
        next_step=f"set SCI_EXTENSION to the HDU of the science image (images: {where}) or to all",
    )


def _unusable(hdu: Hdu) -> str | None:
    """Why an image HDU cannot be a science image, or None."""
    size = " x ".join(str(n) for n in hdu.shape)
    if 0 in hdu.shape:
        return f"zero-size image ({size})"
    if hdu.plane is None:
        return f"a cube ({size}), not a 2-D image"
    if min(hdu.plane) < MIN_SIDE_PX:
        return f"an image of {size} pixels is no sky field"
    return None
