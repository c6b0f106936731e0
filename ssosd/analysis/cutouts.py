"""Cutouts: a small FITS image around each detection of a candidate, with its solved WCS."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.io import fits
from numpy.typing import NDArray

from ssosd.analysis.solved import Piece, SolvedImage, open_image
from ssosd.analysis.swarp import SwarpCutter
from ssosd.astromatic import Binary
from ssosd.errors import BadInput, Retriable
from ssosd.files import atomic_path

__all__ = ["SolvedImage", "cutout_name", "extract_cutouts"]

#: Makes pixels and header of a cutout; `SwarpCutter` is one.
Cutter = Callable[[Piece], tuple[NDArray[np.float32], fits.Header]]

_INDEX = ["SOURCE_NUMBER", "CATALOG_NUMBER"]
_COLUMNS = ("PATH", "STATUS", "N_BLANK", "REASON")
Row = dict[str, Any]


def cutout_name(source_number: int, catalog_number: int) -> str:
    """File name of a cutout.

    >>> cutout_name(12, 3)
    '12_3.fits'
    """
    return f"{source_number}_{catalog_number}.fits"


def extract_cutouts(
    *,
    detections: pd.DataFrame,
    images: Mapping[tuple[int, int], SolvedImage],
    binary: Binary,
    config: Path,
    size_px: int,
    directory: Path,
    time_limit_s: float,
    workers: int = 1,
    cutter: Cutter | None = None,
) -> pd.DataFrame:
    """Write a cutout ``SOURCE_CATALOG.fits`` of each detection; each image is opened once.

    A cutout is centred on the detection's solved position through the solved WCS, not the one in the file.
    Pixels off the detector are NaN and counted in the keyword NBLANK; a cutout without any pixel is written
    too, all NaN. What fails for one detection is reported in its row and costs no other. Written again, the
    files are the same, byte for byte.

    Parameters
    ----------
    detections : DataFrame, one row per detection of a candidate
        SOURCE_NUMBER, CATALOG_NUMBER, EXTENSION, RA, DEC (degrees, ICRS); OBJECT if there is one.
    images : mapping
        The solved images by (CATALOG_NUMBER, EXTENSION).
    binary : Binary
        SWarp, from `ssosd.astromatic.find`.
    config : Path
        SWARP_CONFIG.
    size_px : int
        CUTOUT_SIZE, pixels on each side.
    directory : Path
        Where to; made when it is missing.
    time_limit_s : float
        Wall seconds for one cutout.
    workers : int
        Cutouts made at a time.
    cutter : callable, optional
        Makes a cutout of a `Piece` instead of SWarp.

    Returns
    -------
    DataFrame, indexed by SOURCE_NUMBER and CATALOG_NUMBER, in the order of `detections`
        PATH (absolute, "" when none was written), STATUS ("written", "blank": no pixel of it on the detector,
        "failed"), N_BLANK (pixels without value), REASON ("" when written).

    Raises
    ------
    Misconfigured
        SWARP_CONFIG cannot be read, SWarp has vanished, the folder cannot be written to.
    Retriable
        The disk is full.
    """
    make = cutter or SwarpCutter(binary=binary, config=config, time_limit_s=time_limit_s)
    wanted = detections.drop_duplicates(_INDEX).reset_index(drop=True)
    rows: dict[int, Row] = {}

    def finish(work: tuple[int, Future[Row]]) -> None:
        rows[work[0]] = work[1].result()

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        running: deque[tuple[int, Future[Row]]] = deque()
        for place, row, image, piece in _pieces(wanted, images, size_px):
            if piece is None or image is None:
                rows[place] = row
                continue
            running.append((place, pool.submit(_write, row, image, piece, make, directory)))
            if len(running) > 2 * workers:  # pieces wait in memory: not too many
                finish(running.popleft())
        while running:
            finish(running.popleft())
    table = pd.DataFrame([rows[k] for k in range(len(wanted))], columns=[*_INDEX, *_COLUMNS])
    return table.set_index(_INDEX)


def _pieces(
    wanted: pd.DataFrame, images: Mapping[tuple[int, int], SolvedImage], size_px: int
) -> Iterator[tuple[int, Row, SolvedImage | None, Piece | None]]:
    """Place in the table, row to report and piece of each detection, one image after the other."""
    objects = wanted["OBJECT"].fillna("").astype(str) if "OBJECT" in wanted else pd.Series("", wanted.index)
    for _, group in wanted.groupby(["CATALOG_NUMBER", "EXTENSION"], sort=True):
        catalog, extension = int(group["CATALOG_NUMBER"].iloc[0]), int(group["EXTENSION"].iloc[0])
        begun = [
            {"SOURCE_NUMBER": int(s), "CATALOG_NUMBER": catalog, "PATH": "", "STATUS": "failed", "N_BLANK": 0}
            | {"REASON": f"no solved image of catalogue {catalog}, extension {extension}"}
            for s in group["SOURCE_NUMBER"]
        ]
        image = images.get((catalog, extension))
        done = 0
        try:
            if image is not None:
                xy = image.pixels_of(group["RA"], group["DEC"])
                with open_image(image) as opened:
                    for ra, dec, (x, y) in zip(group["RA"], group["DEC"], xy, strict=True):
                        piece = opened.piece(ra_deg=ra, dec_deg=dec, x=x, y=y, size_px=size_px)
                        if objects[group.index[done]]:
                            piece.header["OBJECT"] = (
                                objects[group.index[done]].encode("ascii", "replace").decode()
                            )
                        done += 1
                        yield group.index[done - 1], begun[done - 1], image, piece
                continue
        except BadInput as error:
            begun = [row | {"REASON": str(error)} for row in begun]
        for k in range(done, len(begun)):
            yield group.index[k], begun[k], None, None


def _write(row: Row, image: SolvedImage, piece: Piece, make: Cutter, directory: Path) -> Row:
    """Make one cutout and write it; the finished row."""
    window = piece.window
    if not piece.valid[window].any():
        pixels = np.full((piece.size_px, piece.size_px), np.nan, dtype=np.float32)
        header = piece.header.copy()
        header["CRPIX1"] -= piece.corner
        header["CRPIX2"] -= piece.corner
    else:
        try:
            pixels, header = make(piece)
        except (BadInput, Retriable) as error:
            return row | {"REASON": str(error)}
    n_blank = int(np.count_nonzero(~np.isfinite(pixels)))
    header["DATE-OBS"] = image.date_obs
    header["FILTER"] = image.filter
    if "OBJECT" in piece.header:
        header["OBJECT"] = piece.header["OBJECT"]
    header["SOURCE"] = (row["SOURCE_NUMBER"], "SOURCE_NUMBER of the detection")
    header["CATALOG"] = (row["CATALOG_NUMBER"], "CATALOG_NUMBER of the detection")
    header["IMAGE"] = image.path.name.encode("ascii", "replace").decode()
    header["IMAGEHDU"] = (image.hdu, "HDU of IMAGE it is cut from")
    header["RATARGET"] = (piece.ra_deg, "[deg] centred on, ICRS")
    header["DETARGET"] = (piece.dec_deg, "[deg] centred on, ICRS")
    header["NBLANK"] = (n_blank, "NaN pixels: off the detector or bad")
    path = directory.absolute() / cutout_name(row["SOURCE_NUMBER"], row["CATALOG_NUMBER"])
    with atomic_path(path) as temporary:
        fits.PrimaryHDU(pixels, header).writeto(temporary)
    blank = n_blank == pixels.size
    return row | {
        "PATH": str(path),
        "STATUS": "blank" if blank else "written",
        "N_BLANK": n_blank,
        "REASON": f"off the image {image.path.name}[{image.hdu}]" if blank else "",
    }
