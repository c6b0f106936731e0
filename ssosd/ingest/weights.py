"""Weight images, found by their names and brought into the order of an exposure's chips.

For an exposure ``STEM.fits`` the folder has one image per chip, ``STEM_EXT.weight`` with EXT as in
SCI_EXTENSION, or one file with all of them, ``STEM.weight``; each may also end in ``.weight.fits``,
``.weight.fits.fz`` or ``.weight.fits.gz``.
"""

from __future__ import annotations

from pathlib import Path

from ssosd.errors import BadInput, Misconfigured
from ssosd.ingest.fitsblocks import FitsLayout, Hdu, read_layout
from ssosd.ingest.pixels import PlainImage, write_plain
from ssosd.model import Chip, Exposure

WEIGHT_SUFFIXES = (".weight", ".weight.fits", ".weight.fits.fz", ".weight.fits.gz")
_NAMING = "name weight images STEM_EXT.weight (one per extension) or STEM.weight, or set WEIGHT_IMAGES False"


def prepare_weight(exposure: Exposure, *, folder: Path, target: Path, first_in_primary: bool) -> Path:
    """Weight image with the chips of an exposure in their order.

    Parameters
    ----------
    exposure : Exposure
    folder : Path
        WEIGHT_IMAGES.
    target : Path
        Written, unless there is one plain image file that can be used as it is.
    first_in_primary : bool
        Whether the first of several chips is in the primary HDU of the image that SExtractor is given: it
        wants the weights where the images are.

    Returns
    -------
    Path
        `target`, or the weight image itself.

    Raises
    ------
    BadInput
        A weight image is missing or has another size than its chip.
    Misconfigured
        `folder` is no folder, or `target` cannot be written.
    """
    if not folder.is_dir():
        raise Misconfigured(
            f"WEIGHT_IMAGES {folder}: no such folder", next_step="correct it or set it to False"
        )
    images = [_checked(exposure, chip, found) for chip, found in _sources(exposure, folder)]
    if len(images) == 1:
        path, layout, hdu = images[0]
        if len(layout.hdus) == 1 and layout.tidy and not layout.packed and len(hdu.shape) == 2:
            return path
    plain = []
    for path, _, hdu in images:
        scaling = [raw for raw in hdu.cards.raw if raw[:8].strip() in {"BSCALE", "BZERO", "BLANK"}]
        plain.append(PlainImage(path=path, hdu=hdu, cards=tuple(scaling)))
    write_plain(plain, target, first_in_primary=first_in_primary)
    return target


def weight_files(exposure: Exposure, *, folder: Path | None) -> tuple[Path, ...]:
    """Files of an exposure's weight images, in the order of its chips, each once; none without a folder.

    Raises
    ------
    BadInput
        A weight image is missing.
    """
    if folder is None:
        return ()
    return tuple(dict.fromkeys(path for _, (path, _, _) in _sources(exposure, folder)))


def weight_planes(exposure: Exposure, *, folder: Path) -> dict[int, tuple[Path, int]]:
    """File and HDU of the weights of each chip, by the chip's HDU.

    Raises
    ------
    BadInput
        A weight image is missing or has another size than its chip.
    """
    checked = {chip.hdu: _checked(exposure, chip, found) for chip, found in _sources(exposure, folder)}
    return {chip: (path, hdu.index) for chip, (path, _, hdu) in checked.items()}


def _sources(exposure: Exposure, folder: Path) -> list[tuple[Chip, tuple[Path, FitsLayout, Hdu | None]]]:
    per_chip = [_find(folder, f"{exposure.stem}_{n}") for chip in exposure.chips for n in [chip.hdu]]
    if len(exposure.chips) == 1 and exposure.chips[0].hdu == 0 and per_chip == [None]:
        per_chip = [_find(folder, f"{exposure.stem}_1")]  # SCI_EXTENSION 1 also means a sole primary image
    if any(per_chip):
        sources = []
        for chip, path in zip(exposure.chips, per_chip, strict=True):
            if path is None:
                raise _missing(exposure, folder, f"{exposure.stem}_{chip.hdu}.weight")
            layout = read_layout(path)
            sources.append((chip, (path, layout, next((h for h in layout.hdus if h.is_image), None))))
        return sources
    whole = _find(folder, exposure.stem)
    if whole is None:
        names = f"{exposure.stem}_{exposure.chips[0].hdu}.weight or {exposure.stem}.weight"
        raise _missing(exposure, folder, names)
    layout = read_layout(whole)
    images = [hdu for hdu in layout.hdus if hdu.is_image]
    if len(images) == len(exposure.chips):
        return [(chip, (whole, layout, hdu)) for chip, hdu in zip(exposure.chips, images, strict=True)]
    by_index = {hdu.index: hdu for hdu in images}
    return [(chip, (whole, layout, by_index.get(chip.hdu))) for chip in exposure.chips]


def _checked(
    exposure: Exposure, chip: Chip, found: tuple[Path, FitsLayout, Hdu | None]
) -> tuple[Path, FitsLayout, Hdu]:
    path, layout, hdu = found
    size = f"{chip.width_px} x {chip.height_px} px"
    if hdu is None:
        raise BadInput(
            f"{exposure.name}: weight image {path.name} has no image for HDU {chip.hdu}", next_step=_NAMING
        )
    if hdu.plane != (chip.width_px, chip.height_px):
        raise BadInput(
            f"{exposure.name}: weight image {path.name}[{hdu.index}] measures "
            f"{' x '.join(map(str, hdu.shape))} px, HDU {chip.hdu} {size}",
            next_step="weight and image must have the same size",
        )
    return path, layout, hdu


def _find(folder: Path, stem: str) -> Path | None:
    for suffix in WEIGHT_SUFFIXES:
        path = folder / f"{stem}{suffix}"
        if path.is_file():
            return path
    return None


def _missing(exposure: Exposure, folder: Path, names: str) -> BadInput:
    return BadInput(f"{exposure.name}: no weight image {names} in {folder}", next_step=_NAMING)
