"""The exposures with the astrometry that SCAMP solved: headers, positions, pixels around a position."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from astropy.wcs import WCS, FITSFixedWarning, NoConvergence
from numpy.typing import ArrayLike, NDArray

from ssosd.errors import BadInput
from ssosd.ldac import header_from_text

_WCS_CARD = re.compile(
    r"(?:CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA|CRDER|CSYER|CNAME)\d$|(?:CD|PC)\d_\d$|PC\d{6}$|PV\d_\d+$"
    r"|(?:AP?|BP?)_(?:\d+_\d+|ORDER|DMAX)$|WCSAXES$|WCSNAME$|EQUINOX$|EPOCH$|RADE(?:SYS|CSYS)$|LONPOLE$|LATPOLE$"
    r"|WAT\d_\d+$|(?:LTM|LTV|DTM|DTV|PROJP|TR)\d+(?:_\d+)?$"
)
_STRUCTURE = re.compile(
    r"SIMPLE$|XTENSION$|BITPIX$|NAXIS\d*$|EXTEND$|PCOUNT$|GCOUNT$|BSCALE$|BZERO$|BLANK$|CHECKSUM$|DATASUM$"
    r"|EXTNAME$|EXTVER$|EXTLEVEL$|INHERIT$|NEXTEND$|MJD-OBS$|FLXSCALE$|COMMENT$|HISTORY$|$"
    r"|Z(?:IMAGE|CMPTYPE|TENSION|SIMPLE|BITPIX|NAXIS\d*|TILE\d|NAME\d|VAL\d|SCALE|ZERO|QUANTIZ|DITHER0|EXTEND"
    r"|PCOUNT|GCOUNT|HECKSUM|DATASUM)$|T(?:TYPE|FORM|FIELDS)\d*$|THEAP$"
)


_KEPT_PX = 32_000_000  # pixels of images that stay open
_NO_WEIGHT = 1e30  # rms or variance of a pixel that is not used: BIG of SExtractor's source


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightMap:
    """The weights of a chip's pixels, as SExtractor was given them."""

    path: Path  # FITS file, plain or compressed
    hdu: int
    kind: str  # of WEIGHT_TYPE: MAP_WEIGHT, MAP_RMS or MAP_VAR


@dataclass(frozen=True, kw_only=True, slots=True)
class SolvedImage:
    """One chip of an exposure with its solved astrometry."""

    path: Path  # the original FITS file, plain or compressed
    hdu: int  # index of the chip in it, 0 is the primary
    header: str  # the solved WCS as header text, as in SCAMP's .head
    date_obs: str  # start of exposure, UTC, ISOT
    filter: str  # filter/band, "" when unknown
    weight: WeightMap | None = None  # pixels that it leaves out have no value

    def astrometry(self) -> fits.Header:
        """WCS cards of the solution; TAN with distortion terms is named TPV, as SCAMP means it."""
        return _astrometry(self.header).copy()

    def pixels_of(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.float64]:
        """FITS pixel coordinates of sky positions by the solved WCS.

        Parameters
        ----------
        ra_deg, dec_deg : array_like, shape (n,)
            Degrees, ICRS.

        Returns
        -------
        ndarray, shape (n, 2)
            x and y, 1 in the centre of the first pixel; NaN where the projection has no value.

        Raises
        ------
        BadInput
            The header text has no usable WCS.
        """
        sky = np.column_stack([np.asarray(ra_deg, dtype=np.float64), np.asarray(dec_deg, dtype=np.float64)])
        try:
            return np.asarray(self.wcs().all_world2pix(sky, 1, quiet=True), dtype=np.float64)
        except NoConvergence:
            return np.full(sky.shape, np.nan)
        except ValueError as error:
            raise self._without_wcs(f": {error}") from error

    def sky_of(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Sky positions (RA and Dec, degrees ICRS) of FITS pixel coordinates, both of shape (n, 2).

        Raises
        ------
        BadInput
            The header text has no usable WCS.
        """
        return np.asarray(self.wcs().all_pix2world(np.asarray(pixels, dtype=np.float64), 1), np.float64)

    def wcs(self) -> WCS:
        """The solved WCS, its two celestial axes.

        Raises
        ------
        BadInput
            The header text has no usable WCS.
        """
        try:
            wcs = _wcs(self.header)
        except (ValueError, TypeError, VerifyError) as error:
            raise self._without_wcs(f": {error}") from error
        if wcs is None:
            raise self._without_wcs(", it is not celestial")
        return wcs.deepcopy()

    def _without_wcs(self, because: str) -> BadInput:
        return BadInput(f"{self.path.name}[{self.hdu}]: its solved header has no usable WCS{because}")


@lru_cache(maxsize=64)
def _wcs(text: str) -> WCS | None:
    """Celestial axes of a header's text, None without any; to be copied, as WCSLIB writes where it reads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        wcs = WCS(_astrometry(text))
    if not wcs.has_celestial:
        return None
    return wcs if (wcs.naxis, wcs.wcs.lng, wcs.wcs.lat) == (2, 0, 1) else wcs.celestial


@lru_cache(maxsize=64)
def _astrometry(text: str) -> fits.Header:
    """WCS cards of a header's text; it is asked for many times, and takes long to read."""
    header = fits.Header([card for card in header_from_text(text).cards if _WCS_CARD.match(card.keyword)])
    distorted = any(re.match(r"PV\d_(?:[4-9]|\d\d)$|PV2_[1-3]$", key) for key in header)
    for axis in (1, 2):
        ctype = str(header.get(f"CTYPE{axis}", ""))
        if distorted and ctype.endswith("-TAN"):
            header[f"CTYPE{axis}"] = ctype.removesuffix("TAN") + "TPV"
    return header


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A square of an image around a position, with a border wide enough to turn the cutout in it."""

    pixels: NDArray[np.float32]  # shape (n, n), 0 where not valid
    valid: NDArray[np.bool_]  # on the detector, and a number
    header: fits.Header  # the image's own cards and the solved WCS of these pixels, no structure
    ra_deg: float  # the position, ICRS
    dec_deg: float
    size_px: int  # of the cutout to be
    corner: int  # 0-based index in the piece of the first pixel, on both axes, of an unresampled cutout

    @property
    def window(self) -> tuple[slice, slice]:
        """The unresampled cutout in the piece."""
        span = slice(self.corner, self.corner + self.size_px)
        return span, span


class _Plane:
    """Pixels of an HDU; of a plain file only the parts that are looked at are ever read."""

    def __init__(self, hdu: Any) -> None:
        self._data = hdu.data.reshape(hdu.shape[-2:])  # further axes have length 1
        stored = {} if isinstance(hdu, fits.CompImageHDU) else hdu.header  # those come as values
        self._scale, self._zero = stored.get("BSCALE", 1.0), stored.get("BZERO", 0.0)
        self._blank = stored.get("BLANK") if self._data.dtype.kind in "iu" else None

    def values(self, part: tuple[slice, slice]) -> NDArray[np.float32]:
        """A part of it, NaN where there is no value."""
        stored = self._data[part]
        values = stored.astype(np.float32 if stored.dtype.itemsize <= 2 else np.float64)
        if (self._scale, self._zero) != (1.0, 0.0):
            values = values * self._scale + self._zero
        if self._blank is not None:
            values[stored == self._blank] = np.nan
        return values.astype(np.float32, copy=False)


class OpenImage:
    """An image that is open for reading pieces; see `OpenFiles`."""

    def __init__(self, image: SolvedImage, hdus: fits.HDUList, weights: fits.HDUList | None = None) -> None:
        hdu = hdus[image.hdu]
        self.solved = image
        self.astrometry = image.astrometry()
        self.height, self.width = (int(n) for n in hdu.shape[-2:])
        self._plane = _Plane(hdu)
        self._weights = None if weights is None or image.weight is None else _Plane(weights[image.weight.hdu])
        self._headers = hdu.header, hdus[0].header

    @cached_property
    def cards(self) -> fits.Header:
        """Cards that describe the exposure; no WCS, no structure."""
        return own_cards(*self._headers)

    def card(self, keyword: str) -> fits.Card | None:
        """One card, the chip's before the primary's; None where there is none that can be read."""
        for header in self._headers:
            if keyword in header:
                card = header.cards[keyword]
                try:
                    return card if str(card.value).isascii() else None
                except (VerifyError, ValueError):
                    return None
        return None

    def read(
        self, left: int, low: int, width: int, height: int
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Pixels of a part of the image and which have a value; both 0 off the image.

        Parameters
        ----------
        left, low : int
            0-based indices of the first pixel, on the image or not.
        width, height : int
            Size of the part.
        """
        pixels = np.zeros((height, width), dtype=np.float32)
        valid = np.zeros((height, width), dtype=np.bool_)
        x, right = max(0, left), min(self.width, left + width)
        y, high = max(0, low), min(self.height, low + height)
        if x < right and y < high:
            inside = np.s_[y - low : high - low, x - left : right - left]
            part = np.s_[y:high, x:right]
            values = self._plane.values(part)
            valid[inside] = np.isfinite(values) & self._is_used(part)
            pixels[inside] = np.where(valid[inside], values, 0.0)
        return pixels, valid

    def _is_used(self, part: tuple[slice, slice]) -> NDArray[np.bool_] | np.bool_:
        """Which pixels SExtractor uses with the thresholds that are its defaults for each kind of map."""
        if self._weights is None or self.solved.weight is None:
            return np.True_
        weights = self._weights.values(part)
        return weights > 0.0 if self.solved.weight.kind == "MAP_WEIGHT" else weights < _NO_WEIGHT

    def piece(self, *, ra_deg: float, dec_deg: float, x: float, y: float, size_px: int) -> Piece:
        """Pixels around FITS pixel position (x, y), which need not be on the image, nor finite."""
        border = math.ceil(0.21 * size_px) + 16  # (sqrt(2) - 1) / 2 and room for an interpolation kernel
        n = size_px + 2 * border
        if not (math.isfinite(x) and math.isfinite(y)):
            x = y = -10.0 * n
        # 0-based image index of the piece's first pixel; the position is within half a pixel of the middle
        first_x, first_y = (round(v - 1.0 - (n - 1) / 2.0) for v in (x, y))
        pixels, valid = self.read(first_x, first_y, n, n)
        header = self.cards.copy()
        header.update(shifted(self.astrometry, first_x, first_y))
        return Piece(
            pixels=pixels,
            valid=valid,
            header=header,
            ra_deg=ra_deg,
            dec_deg=dec_deg,
            size_px=size_px,
            corner=border,
        )


def own_cards(header: fits.Header, primary: fits.Header) -> fits.Header:
    """Cards that describe the exposure, the chip's before the primary's; no WCS, no structure."""
    kept: dict[str, fits.Card] = {}
    for card in [*header.cards, *primary.cards]:
        try:
            described = not _WCS_CARD.match(card.keyword) and not _STRUCTURE.match(card.keyword)
            if described and card.keyword not in kept and str(card.value).isascii():
                kept[card.keyword] = card
        except (VerifyError, ValueError):
            continue  # a broken card says nothing about the pixels
    return fits.Header(kept.values())


def shifted(header: fits.Header, x: float, y: float) -> fits.Header:
    """Cards of a WCS for pixels that begin x and y pixels later."""
    moved = header.copy()
    moved["CRPIX1"] = float(moved["CRPIX1"]) - x
    moved["CRPIX2"] = float(moved["CRPIX2"]) - y
    return moved


class OpenFiles(AbstractContextManager["OpenFiles"]):
    """Files of images that are read from many times: the first ones stay open, compressed ones in memory.

    For one thread at a time.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[Path, int], fits.HDUList] = {}
        self._n_px = 0  # of those that are kept
        self._open = ExitStack()

    def __exit__(self, *_: object) -> None:
        """Close what is still open."""
        self.close()

    def close(self) -> None:
        """Close what is still open."""
        self._kept.clear()
        self._open.close()

    @contextmanager
    def image(self, image: SolvedImage) -> Iterator[OpenImage]:
        """Open a chip for reading pieces.

        Raises
        ------
        BadInput
            The file or the chip cannot be read.
        """
        weight = image.weight
        try:
            with ExitStack() as once:
                hdus = self._hdus(image.path, image.hdu, once)
                weights = None if weight is None else self._hdus(weight.path, weight.hdu, once)
                yield OpenImage(image, hdus, weights)
        except (OSError, TypeError, ValueError, IndexError, KeyError, VerifyError) as error:
            raise BadInput(f"{image.path.name}[{image.hdu}]: cannot be read: {error}") from error

    def _hdus(self, path: Path, hdu: int, once: ExitStack) -> fits.HDUList:
        """A file's HDUs: pixels as they are stored in a plain one, as values in a compressed one."""
        if (path, hdu) in self._kept:
            return self._kept[path, hdu]
        with ExitStack() as files:
            found = files.enter_context(fits.open(path, do_not_scale_image_data=True))
            if isinstance(found[hdu], fits.CompImageHDU):
                found = files.enter_context(fits.open(path))
            n_px = math.prod(found[hdu].shape)
            if self._n_px + n_px <= _KEPT_PX:
                self._kept[path, hdu] = found
                self._n_px += n_px
                self._open.push(files.pop_all())
            else:
                once.push(files.pop_all())
        return found
