"""Make a cutout with SWarp from a piece of an image."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from numpy.typing import NDArray

from ssosd.analysis.fitscards import cards_of
from ssosd.analysis.solved import OpenImage, Piece, shifted
from ssosd.astromatic import Binary, run
from ssosd.astromatic_setup import read_setup
from ssosd.errors import BadInput

#: Cards of SWarp's that tell of the run, not of the sky; they would make equal cutouts differ.
_OF_THE_RUN = (
    "DATE",
    "AUTHOR",
    "ORIGIN",
    "MJD-OBS",
    "COMMENT",
    "HISTORY",
    "SOFTDATE",
    "SOFTAUTH",
    "SOFTINST",
)
_FORCED = (
    *("-IMAGEOUT_NAME", "out.fits", "-WEIGHTOUT_NAME", "out.weight.fits", "-HEADER_SUFFIX", ".head"),
    *("-HEADEROUT_NAME", "out.head", "-HEADER_ONLY", "N", "-TILE_COMPRESS", "N", "-COMBINE", "Y"),
    *("-RESAMPLE_DIR", ".", "-VMEM_DIR", ".", "-DELETE_TMPFILES", "Y", "-WRITE_FILEINFO", "N"),
    *("-WRITE_XML", "N", "-NTHREADS", "1", "-VERBOSE_TYPE", "NORMAL"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SwarpCutter:
    """Cutouts by SWarp, as SWARP_CONFIG says."""

    binary: Binary
    config: Path  # SWARP_CONFIG
    time_limit_s: float  # wall seconds for one cutout
    size_px: int  # CUTOUT_SIZE
    scratch: Path  # folder for SWarp's working folders, which are removed

    def read(self, image: OpenImage, detections: pd.DataFrame) -> Iterator[Piece]:
        """Read what the cutouts of an image need.

        Parameters
        ----------
        image : OpenImage
        detections : DataFrame
            Those in this image: SOURCE_NUMBER, RA, DEC (degrees, ICRS), OBJECT if there is one.

        Yields
        ------
        Piece
            For `make`, one per detection in their order; the image may be closed after the last one.

        Raises
        ------
        BadInput
            The image cannot be read or its solution cannot be used.
        """
        places = image.solved.pixels_of(detections["RA"], detections["DEC"])
        for ra, dec, (x, y) in zip(detections["RA"], detections["DEC"], places, strict=True):
            yield image.piece(ra_deg=ra, dec_deg=dec, x=x, y=y, size_px=self.size_px)

    def make(self, piece: Piece) -> tuple[NDArray[np.float32], dict[str, str]]:
        """Run SWarp on one piece; a piece without any pixel of the image needs no run.

        With RESAMPLE N SWarp is given the output grid as a header: the solved WCS moved by whole pixels.
        (Left to itself it would shift the pixels but write a WCS with north up.) With RESAMPLE Y the grid
        is SWarp's: north up, the position in the centre.

        Returns
        -------
        pixels : ndarray of float32, shape (size_px, size_px)
            NaN where SWarp's weight is 0: off the detector or not a number there.
        cards : dict
            SWarp's without those of the run, with the WCS of these pixels.

        Raises
        ------
        BadInput, Retriable, Misconfigured
            From `ssosd.astromatic.run`, or SWarp wrote no image of the right size.
        """
        n = piece.size_px
        setup = {keyword: value.upper() for keyword, value in read_setup(self.config).items()}
        as_they_are = setup.get("RESAMPLE", "Y").startswith("N")
        grid = shifted(piece.header, piece.corner, piece.corner)
        if not piece.valid[piece.window].any():
            return np.full((n, n), np.nan, dtype=np.float32), cards_of(grid)
        grid.update({"NAXIS": 2, "NAXIS1": n, "NAXIS2": n})
        with tempfile.TemporaryDirectory(dir=self.scratch, prefix="swarp-") as name:
            room = Path(name)
            (room / "ssos.swarp").symlink_to(self.config.absolute())
            fits.PrimaryHDU(piece.pixels, piece.header).writeto(room / "in.fits")
            arguments = ["in.fits", "-c", "ssos.swarp", *_FORCED]
            if piece.valid.all():
                arguments += ["-WEIGHT_TYPE", "NONE"]
            else:
                fits.PrimaryHDU(piece.valid.astype(np.float32)).writeto(room / "in.weight.fits")
                arguments += ["-WEIGHT_TYPE", "MAP_WEIGHT", "-WEIGHT_IMAGE", "in.weight.fits"]
            if as_they_are:
                text = grid.tostring(sep="\n", endcard=True, padding=False)
                (room / "out.head").write_text(text + "\n", encoding="ascii")
                if "Y" in setup.get("SUBTRACT_BACK", "Y"):  # SWarp does so only while it resamples
                    arguments += ["-RESAMPLE", "Y", "-RESAMPLING_TYPE", "NEAREST"]
            else:
                arguments += ["-CENTER_TYPE", "MANUAL", "-CENTER", f"{piece.ra_deg:.9f},{piece.dec_deg:.9f}"]
                arguments += ["-IMAGE_SIZE", f"{n},{n}"]
            done = run(self.binary, arguments, cwd=room, time_limit_s=self.time_limit_s)
            try:
                pixels, header = fits.getdata(room / "out.fits", header=True)
                weight = fits.getdata(room / "out.weight.fits")
            except (OSError, TypeError, ValueError) as error:
                raise BadInput(f"SWarp wrote no image: {done.tail}") from error
        if pixels.shape != (n, n):
            raise BadInput(f"SWarp made {pixels.shape[1]} x {pixels.shape[0]} pixels instead of {n} x {n}")
        result = np.where(weight > 0, pixels, np.nan).astype(np.float32)
        for keyword in _OF_THE_RUN:
            header.remove(keyword, ignore_missing=True, remove_all=True)
        if as_they_are:
            header.update(shifted(piece.header, piece.corner, piece.corner))
        return result, cards_of(header)
