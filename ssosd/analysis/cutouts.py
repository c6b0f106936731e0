"""Cutouts: a small FITS image around each detection of a candidate, with its solved WCS."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from astropy.io import fits
from numpy.typing import NDArray

from ssosd.analysis.solved import OpenImage, SolvedImage, open_image
from ssosd.errors import BadInput, Retriable
from ssosd.plumbing.files import write_failure

__all__ = ["Cutter", "SolvedImage", "cutout_name", "extract_cutouts"]

_INDEX = ["SOURCE_NUMBER", "CATALOG_NUMBER"]
_BLOCK = 2880  # bytes of a FITS block
_COLUMNS = ("PATH", "STATUS", "N_BLANK", "REASON")
Row = dict[str, Any]


class Cutter(Protocol):
    """A way of making cutouts: `ssosd.analysis.skygrid.LanczosCutter`, `ssosd.analysis.swarp.SwarpCutter`."""

    def read(self, image: OpenImage, detections: pd.DataFrame) -> Iterator[Any]:
        """Read from an open image what each detection's cutout is made from, one after the other."""

    def make(self, piece: Any) -> tuple[NDArray[np.float32], fits.Header]:
        """Pixels (NaN where there is none) and header of a cutout; called in several threads."""


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
    cutter: Cutter,
    directory: Path,
    workers: int = 1,
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
    cutter : Cutter
        What makes the cutouts.
    directory : Path
        Where to; made when it is missing. Nobody reads it yet: files are written in place and not flushed.
    workers : int
        Cutouts made at a time.

    Returns
    -------
    DataFrame, indexed by SOURCE_NUMBER and CATALOG_NUMBER, in the order of `detections`
        PATH (absolute, "" when none was written), STATUS ("written", "blank": no pixel of it on the detector,
        "failed"), N_BLANK (pixels without value), REASON ("" when written).

    Raises
    ------
    Misconfigured
        The folder cannot be written to; what the cutter was made with cannot be used.
    Retriable
        The disk is full.
    """
    wanted = detections.drop_duplicates(_INDEX).reset_index(drop=True)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_failure(directory, error) from error
    targets = wanted.reindex(columns=["RA", "DEC", "OBJECT"]).to_dict("records")
    rows: dict[int, Row] = {}

    def finish(work: tuple[int, Future[Row]]) -> None:
        rows[work[0]] = work[1].result()

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        running: deque[tuple[int, Future[Row]]] = deque()
        for place, row, image, piece in _pieces(wanted, images, cutter):
            if image is None:
                rows[place] = row
                continue
            running.append((place, pool.submit(_write, row, targets[place], image, piece, cutter, directory)))
            if len(running) > 2 * workers:  # pieces wait in memory: not too many
                finish(running.popleft())
        while running:
            finish(running.popleft())
    table = pd.DataFrame([rows[k] for k in range(len(wanted))], columns=[*_INDEX, *_COLUMNS])
    return table.set_index(_INDEX)


def _pieces(
    wanted: pd.DataFrame, images: Mapping[tuple[int, int], SolvedImage], cutter: Cutter
) -> Iterator[tuple[int, Row, SolvedImage | None, Any]]:
    """Place in the table, row to report, image and piece of each detection, one image after the other."""
    for _, group in wanted.groupby(["CATALOG_NUMBER", "EXTENSION"], sort=True):
        catalog, extension = int(group["CATALOG_NUMBER"].iloc[0]), int(group["EXTENSION"].iloc[0])
        begun = [
            {"SOURCE_NUMBER": source, "CATALOG_NUMBER": catalog, "PATH": "", "STATUS": "failed"}
            | {"N_BLANK": 0, "REASON": f"no solved image of catalogue {catalog}, extension {extension}"}
            for source in group["SOURCE_NUMBER"].tolist()
        ]
        image = images.get((catalog, extension))
        done = 0
        if image is not None:
            try:
                with open_image(image) as opened:
                    for piece in cutter.read(opened, group):
                        done += 1
                        yield group.index[done - 1], begun[done - 1], image, piece
            except BadInput as error:
                begun = [row | {"REASON": str(error)} for row in begun]
        for k in range(done, len(begun)):
            yield group.index[k], begun[k], None, None


def _write(
    row: Row, target: Mapping[Any, Any], image: SolvedImage, piece: Any, cutter: Cutter, directory: Path
) -> Row:
    """Make one cutout and write it; the finished row."""
    try:
        pixels, header = cutter.make(piece)
    except (BadInput, Retriable) as error:
        return row | {"REASON": str(error)}
    n_blank = int(np.count_nonzero(~np.isfinite(pixels)))
    header["DATE-OBS"] = image.date_obs
    header["FILTER"] = image.filter
    if isinstance(name := target["OBJECT"], str) and name:
        header["OBJECT"] = name.encode("ascii", "replace").decode()
    header["SOURCE"] = (row["SOURCE_NUMBER"], "SOURCE_NUMBER of the detection")
    header["CATALOG"] = (row["CATALOG_NUMBER"], "CATALOG_NUMBER of the detection")
    header["IMAGE"] = image.path.name.encode("ascii", "replace").decode()
    header["IMAGEHDU"] = (image.hdu, "HDU of IMAGE it is cut from")
    header["RATARGET"] = (float(target["RA"]), "[deg] centred on, ICRS")
    header["DETARGET"] = (float(target["DEC"]), "[deg] centred on, ICRS")
    header["NBLANK"] = (n_blank, "NaN pixels: off the detector or bad")
    path = directory.absolute() / cutout_name(row["SOURCE_NUMBER"], row["CATALOG_NUMBER"])
    try:
        path.write_bytes(fits_bytes(pixels, header))
    except OSError as error:
        raise write_failure(path, error) from error
    blank = n_blank == pixels.size
    return row | {
        "PATH": str(path),
        "STATUS": "blank" if blank else "written",
        "N_BLANK": n_blank,
        "REASON": f"off the image {image.path.name}[{image.hdu}]" if blank else "",
    }


def fits_bytes(pixels: NDArray[np.float32], header: fits.Header) -> bytes:
    """A FITS image: what `astropy.io.fits.PrimaryHDU` writes, in an eighth of the time."""
    height, width = pixels.shape
    structure = [
        ("SIMPLE", True, "conforms to FITS standard"),
        ("BITPIX", -32, "array data type"),
        ("NAXIS", 2, "number of array dimensions"),
        ("NAXIS1", width),
        ("NAXIS2", height),
    ]
    cards = fits.Header([*structure, *header.copy(strip=True).cards]).tostring().encode("ascii")
    data = pixels.astype(">f4").tobytes()
    return cards + data + bytes(-len(data) % _BLOCK)
