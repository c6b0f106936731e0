"""What SExtractor and SCAMP are given of an exposure: an image they can read, its weights, its heads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ssosd.errors import BadInput
from ssosd.ingest.cardtext import Card, format_card, head_text, kept_cards, overlaid
from ssosd.ingest.chips import ScienceChip, read_chips
from ssosd.ingest.fitsblocks import FitsLayout, Hdu, read_layout
from ssosd.ingest.pixels import PlainImage, write_plain
from ssosd.ingest.weights import prepare_weight
from ssosd.model import Chip, Exposure


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """The inputs of SExtractor and SCAMP for one exposure."""

    image: Path  # uncompressed FITS: the original itself where that will do
    weight: Path | None  # same HDU structure as `image`
    hdus: tuple[int, ...]  # index in the original file of each chip, in the order SExtractor sees them
    heads: tuple[str, ...]  # per chip, 80-character cards in lines and END: SCAMP's .ahead


def prepare_image(exposure: Exposure, *, directory: Path, weights: Path | None) -> Prepared:
    """Make an exposure readable for SExtractor and SCAMP without touching the original.

    The original itself is used when it is an uncompressed FITS file whose only image is in the primary HDU
    and whose WCS both programs read rightly. Else a plain FITS file with the chips is written into
    `directory`, with pixel types kept, repaired WCS cards, and the primary's cards that a chip lacks.

    Parameters
    ----------
    exposure : Exposure
        From `ssosd.ingest.exposure.read_exposure`.
    directory : Path
        For what has to be written; made when missing.
    weights : Path, optional
        Folder of weight images, named as in `ssosd.ingest.weights`.

    Returns
    -------
    Prepared
        Each head has MJD-OBS (start of the exposure, UTC), EXPTIME in seconds, FILTER (when there is one)
        and the WCS as TAN or TPV with a CD matrix in ICRS.

    Raises
    ------
    BadInput
        The file is no longer what the exposure says, its pixels cannot be read, or a weight image is missing
        or does not fit.
    Misconfigured
        `directory` cannot be written to, or `weights` is no folder.
    Retriable
        The disk is full or fails.
    """
    path = Path(exposure.path)
    layout = read_layout(path)
    hdus = _chip_hdus(exposure, layout)
    chips, _ = read_chips(path, layout, hdus, skip_bad=False)
    mapped = any(chip.cards for chip in exposure.chips)
    as_is = not mapped and _readable_as_is(layout, chips, weighted=weights is not None)
    name = f"{_safe(exposure.stem)}-{exposure.digest[:8]}"
    image = path if as_is else directory / f"{name}.fits"
    if not as_is:
        pairs = zip(chips, exposure.chips, strict=True)
        write_plain([_plain(path, layout, chip, described) for chip, described in pairs], image)
    weight = None
    if weights is not None:
        weight = prepare_weight(
            exposure,
            folder=weights,
            target=directory / f"{name}.weight.fits",
            first_in_primary=as_is and hdus[0].index == 0,
        )
    return Prepared(
        image=image,
        weight=weight,
        hdus=tuple(hdu.index for hdu in hdus),
        heads=tuple(_head(exposure, chip) for chip in chips),
    )


def _chip_hdus(exposure: Exposure, layout: FitsLayout) -> tuple[Hdu, ...]:
    hdus = []
    for chip in exposure.chips:
        hdu = layout.hdus[chip.hdu] if chip.hdu < len(layout.hdus) else None
        if hdu is None or hdu.plane != (chip.width_px, chip.height_px):
            raise BadInput(
                f"{exposure.name}: HDU {chip.hdu} no longer measures {chip.width_px} x {chip.height_px} px",
                next_step="the file has changed since it was read: read it again",
            )
        hdus.append(replace(hdu, cards=overlaid(hdu.cards, chip.cards)))
    return tuple(hdus)


def _readable_as_is(layout: FitsLayout, chips: Sequence[ScienceChip], *, weighted: bool) -> bool:
    """Whether both programs read the file itself rightly: one plain image, in the primary HDU.

    Of an extension SExtractor sees the cards of its own HDU alone, not GAIN or SATURATE in the primary.
    """
    images = [hdu.index for hdu in layout.hdus if hdu.is_image]
    if layout.packed or not layout.tidy or images != [0] or len(chips) != 1:
        return False
    if weighted and len(layout.hdus) != 1:
        return False  # the weight file's structure must be the image's
    (chip,) = chips
    return (
        chip.scamp.plain
        and chip.own_wcs
        and not chip.hdu.compressed
        and len(chip.hdu.shape) == 2
        and chip.hdu.cards.integer("BITPIX", 0) != 64
    )


def _plain(path: Path, layout: FitsLayout, chip: ScienceChip, described: Chip) -> PlainImage:
    gone = [card for card in described.cards if card[1] is None]  # not inherited either
    primary = overlaid(layout.hdus[0].cards, gone) if chip.hdu.index > 0 else None
    kept = kept_cards(chip.hdu.cards, primary, compressed=chip.hdu.compressed)
    wcs = [format_card(keyword, value) for keyword, value in chip.scamp.cards]
    return PlainImage(path=path, hdu=chip.hdu, cards=(*kept, *wcs))


def _head(exposure: Exposure, chip: ScienceChip) -> str:
    cards: list[Card] = [("MJD-OBS", exposure.mjd_start), ("EXPTIME", exposure.exptime_s)]
    if exposure.filter:
        cards.append(("FILTER", exposure.filter))
    return head_text([*cards, *chip.scamp.cards])


def _safe(stem: str) -> str:
    """File name that no program takes apart."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", stem).lstrip("-")[:80]
