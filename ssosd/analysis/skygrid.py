"""Cutouts by our own interpolation, all those of a source on one grid of the sky: north up, east left."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.analysis.fitscards import card
from ssosd.analysis.lanczos import REACH
from ssosd.analysis.lanczosgrid import NODES, nodes_at, on_grid
from ssosd.analysis.painter.wcs import from_offsets
from ssosd.analysis.solved import OpenImage, SolvedImage
from ssosd.errors import BadInput
from ssosd.sphere import ARCSEC_PER_DEG, offsets_arcsec

FloatArray = NDArray[np.float64]

#: What of the image's header a cutout tells, where it is there.
_COPIED = ("EXPTIME", "TELESCOP", "INSTRUME", "AIRMASS", "GAIN", "SATURATE")


@dataclass(frozen=True, kw_only=True, slots=True)
class SkyGrid:
    """The grid of one source: a tangent plane with pixels of one size."""

    ra_deg: float  # tangent point, ICRS: the source's first detection
    dec_deg: float
    step_deg: float  # side of a pixel


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    """What one cutout is made from."""

    pixels: NDArray[np.float32]  # part of the image, 0 where not valid; empty when nothing of it is wanted
    valid: NDArray[np.bool_]
    nodes: FloatArray  # shape (2, n, n): x and y in the part (0 the first pixel) by the nodes' row and column
    cards: dict[str, str]  # of the cutout
    size_px: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LanczosCutter:
    """Cutouts interpolated with Lanczos-3 on each source's own grid.

    The grids of one source's cutouts lie whole pixels apart, the detection within half a pixel of the middle:
    laid over each other by their WCS the stars stand still without another interpolation.
    """

    grids: Mapping[int, SkyGrid]  # by SOURCE_NUMBER
    size_px: int  # CUTOUT_SIZE

    @classmethod
    def of(
        cls, detections: pd.DataFrame, images: Mapping[tuple[int, int], SolvedImage], *, size_px: int
    ) -> LanczosCutter:
        """Lay the grids out: about each source's first detection, at the scale of that image.

        Parameters
        ----------
        detections : DataFrame
            SOURCE_NUMBER, CATALOG_NUMBER, EXTENSION, RA, DEC (degrees, ICRS).
        images : mapping
            The solved images by (CATALOG_NUMBER, EXTENSION); one without a usable solution makes no grid.
        size_px : int
            CUTOUT_SIZE.
        """
        steps: dict[tuple[int, int], float] = {}
        for key, image in images.items():
            try:
                area = abs(np.linalg.det(image.wcs().pixel_scale_matrix))
            except BadInput:
                continue
            steps[key] = round(math.sqrt(area), 12)
        grids: dict[int, SkyGrid] = {}
        ordered = detections.sort_values(["SOURCE_NUMBER", "CATALOG_NUMBER", "EXTENSION"], kind="stable")
        columns = ("SOURCE_NUMBER", "CATALOG_NUMBER", "EXTENSION", "RA", "DEC")
        for source, catalog, extension, ra, dec in zip(
            *(ordered[name].tolist() for name in columns), strict=True
        ):
            step = steps.get((catalog, extension))
            if step is not None and source not in grids:
                grids[source] = SkyGrid(ra_deg=ra, dec_deg=dec, step_deg=step)
        return cls(grids=grids, size_px=size_px)

    def read(self, image: OpenImage, detections: pd.DataFrame) -> Iterator[Patch]:
        """Read what the cutouts of an image need, in the order of `detections`; see `SwarpCutter.read`."""
        n = self.size_px
        at = nodes_at(n) + 1.0  # FITS pixels of the cutout
        grids = [self.grids[number] for number in detections["SOURCE_NUMBER"]]
        ra0, dec0, step = np.array([(g.ra_deg, g.dec_deg, g.step_deg) for g in grids]).T
        scale = step * ARCSEC_PER_DEG
        xi, eta = offsets_arcsec(detections["RA"], detections["DEC"], ra0, dec0)
        crpix = 0.5 * (n + 1) - np.rint(np.stack([-xi, eta], axis=-1) / scale[:, None])
        east = -(at - crpix[:, :1]) * scale[:, None]
        north = (at - crpix[:, 1:]) * scale[:, None]
        sky = from_offsets(
            east[:, None, :], north[:, :, None], ra0[:, None, None], dec0[:, None, None]
        )  # by detection, row, column
        x, y = image.solved.pixels_of(sky[0].ravel(), sky[1].ravel()).T.reshape(2, len(grids), NODES, NODES)
        copied = {key: str(found) for key in _COPIED if (found := image.card(key)) is not None}
        for k, grid in enumerate(grids):
            cards = copied | _wcs_cards(grid, crpix[k])
            yield _patch(image, np.stack([x[k], y[k]]), cards, size_px=n)

    def make(self, patch: Patch) -> tuple[NDArray[np.float32], dict[str, str]]:
        """Interpolate one cutout; NaN off the detector and where its pixels have no value.

        Returns
        -------
        pixels : ndarray of float32, shape (size_px, size_px)
        cards : dict
        """
        n = patch.size_px
        if not patch.valid.any():
            return np.full((n, n), np.nan, dtype=np.float32), patch.cards
        return on_grid(patch.pixels, patch.valid, patch.nodes, size_px=n), patch.cards


def _patch(image: OpenImage, nodes: FloatArray, cards: dict[str, str], *, size_px: int) -> Patch:
    """Read the part of an image that the nodes (FITS pixels) span, with room for the kernel around it."""
    if not np.isfinite(nodes).all():
        nothing = np.zeros((0, 0), dtype=np.float32)
        return Patch(pixels=nothing, valid=nothing > 0, nodes=nodes, cards=cards, size_px=size_px)
    first, last = nodes.min(axis=(1, 2)), nodes.max(axis=(1, 2))
    # the outermost nodes are within the corners: cos(pi / 2n) of the half side from the middle
    spare = REACH + 1 + 0.5 * (last - first) * (1.0 / math.cos(math.pi / (2 * NODES)) - 1.0)
    low = np.floor(first - spare).astype(int) - 1
    high = np.ceil(last + spare).astype(int)
    # what lies off the image is not read, nor made room for
    low, high = np.maximum(low, 0), np.minimum(high, (image.width, image.height))
    pixels, valid = image.read(low[0], low[1], *np.maximum(high - low, 0))
    return Patch(
        pixels=pixels, valid=valid, nodes=nodes - 1.0 - low[:, None, None], cards=cards, size_px=size_px
    )


def _wcs_cards(grid: SkyGrid, crpix: FloatArray) -> dict[str, str]:
    x, y = crpix.tolist()
    cards = (
        ("WCSAXES", 2, "number of world axes"),
        ("RADESYS", "ICRS", "of the solution"),
        ("CTYPE1", "RA---TAN", "right ascension, to the left"),
        ("CTYPE2", "DEC--TAN", "declination, up"),
        ("CUNIT1", "deg", ""),
        ("CUNIT2", "deg", ""),
        ("CRVAL1", grid.ra_deg, "[deg] the same in all cutouts of the source"),
        ("CRVAL2", grid.dec_deg, "[deg] the same in all cutouts of the source"),
        ("CRPIX1", x, "whole pixels from that of the others"),
        ("CRPIX2", y, "whole pixels from that of the others"),
        ("CD1_1", -grid.step_deg, "[deg]"),
        ("CD1_2", 0.0, "[deg]"),
        ("CD2_1", 0.0, "[deg]"),
        ("CD2_2", grid.step_deg, "[deg]"),
    )
    return {keyword: card(keyword, value, comment) for keyword, value, comment in cards}
