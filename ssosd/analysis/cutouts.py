"""Cutouts: a small FITS image around each detection of a candidate, with its solved WCS."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.analysis.fitscards import card, fits_bytes
from ssosd.analysis.solved import OpenFiles, OpenImage, SolvedImage
from ssosd.errors import BadInput, Retriable
from ssosd.plumbing.files import write_failure, write_staged

__all__ = ["Cutter", "SolvedImage", "cutout_name", "extract_cutouts"]

_INDEX = ["SOURCE_NUMBER", "CATALOG_NUMBER"]
_COLUMNS = ("PATH", "STATUS", "N_BLANK", "REASON")
Row = dict[str, Any]
_Work = tuple[int, Row, SolvedImage | None, Any]  # place in the table, row to report, image and piece


class Cutter(Protocol):
    """A way of making cutouts: `ssosd.analysis.skygrid.LanczosCutter`, `ssosd.analysis.swarp.SwarpCutter`."""

    def read(self, image: OpenImage, detections: pd.DataFrame) -> Iterator[Any]:
        """Read from an open image what each detection's cutout is made from, one after the other."""

    def make(self, piece: Any) -> tuple[NDArray[np.float32], dict[str, str]]:
        """Pixels (NaN where there is none) and cards of a cutout; called in several threads."""


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
    files: OpenFiles | None = None,
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
    files : OpenFiles, optional
        Where images may be open already.

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

    def make(work: _Work) -> None:
        place, row, image, piece = work
        rows[place] = row if image is None else _write(row, targets[place], image, piece, cutter, directory)

    with nullcontext(files) if files is not None else OpenFiles() as opened:
        _each(make, _pieces(wanted, images, cutter, opened), workers=workers)
    table = pd.DataFrame([rows[k] for k in range(len(wanted))], columns=[*_INDEX, *_COLUMNS])
    return table.set_index(_INDEX)


def _each(work: Callable[[_Work], None], pieces: Iterator[_Work], *, workers: int) -> None:
    """Do the work on all pieces, so many at a time; few of them are read ahead, as they take room."""
    if workers <= 1:
        for piece in pieces:
            work(piece)
        return
    with ThreadPoolExecutor(max_workers=workers) as pool:
        running: deque[Future[None]] = deque()
        for piece in pieces:
            running.append(pool.submit(work, piece))
            if len(running) > 2 * workers:
                running.popleft().result()
        for last in running:
            last.result()


def _pieces(
    wanted: pd.DataFrame,
    images: Mapping[tuple[int, int], SolvedImage],
    cutter: Cutter,
    files: OpenFiles,
) -> Iterator[_Work]:
    """What is to be done for each detection, one image after the other."""
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
                with files.image(image) as opened:
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
        pixels, cards = cutter.make(piece)
    except (BadInput, Retriable) as error:
        return row | {"REASON": str(error)}
    n_blank = int(np.count_nonzero(~np.isfinite(pixels)))
    told = [
        ("DATE-OBS", image.date_obs, ""),
        ("FILTER", image.filter, ""),
        ("SOURCE", row["SOURCE_NUMBER"], "SOURCE_NUMBER of the detection"),
        ("CATALOG", row["CATALOG_NUMBER"], "CATALOG_NUMBER of the detection"),
        ("IMAGE", image.path.name, ""),
        ("IMAGEHDU", image.hdu, "HDU of IMAGE it is cut from"),
        ("RATARGET", float(target["RA"]), "[deg] centred on, ICRS"),
        ("DETARGET", float(target["DEC"]), "[deg] centred on, ICRS"),
        ("NBLANK", n_blank, "NaN pixels: off the detector or bad"),
    ]
    if isinstance(name := target["OBJECT"], str) and name:
        told.append(("OBJECT", name, ""))
    cards = cards | {keyword: card(keyword, value, comment) for keyword, value, comment in told}
    path = directory.absolute() / cutout_name(row["SOURCE_NUMBER"], row["CATALOG_NUMBER"])
    write_staged(path, fits_bytes(pixels, cards))
    blank = n_blank == pixels.size
    return row | {
        "PATH": str(path),
        "STATUS": "blank" if blank else "written",
        "N_BLANK": n_blank,
        "REASON": f"off the image {image.path.name}[{image.hdu}]" if blank else "",
    }
