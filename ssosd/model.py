"""The nouns of ssosd as small frozen values; see docs/architecture.md for their meaning."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

#: Added to FLAGS_SSOS: position and brightness of several pieces of one trail.
PIECES_FLAG = 16
#: Added to FLAGS_SSOS: the position along the trail is the track's, not measured in this exposure.
PLACED_FLAG = 32
#: Added to FLAGS_SSOS: a star at rest was taken out of the place and the light.
SWALLOWED_FLAG = 128
#: Added to FLAGS_SSOS: a star at rest covers more than half of the light.
COVERED_FLAG = 512
#: Added to FLAGS_SSOS: it stands at one place of the detector, as hot pixels do, with the light of a star.
STANDING_FLAG = 1024
#: Added to FLAGS_SSOS: the telescope followed it; its light is a point where that of stars is a trail.
FOLLOWED_FLAG = 2048


@dataclass(frozen=True, kw_only=True, slots=True)
class HeaderKeywords:
    """Which FITS keywords hold what, as the configuration names them."""

    date_obs: str = "DATE-OBS"  # start of exposure; "A+B" joins a date and a time keyword
    filter: str = "FILTER"  # filter/band
    exptime: str = "EXPTIME"  # exposure time in seconds
    object: str = "OBJECT"  # target name


@dataclass(frozen=True, kw_only=True, slots=True)
class Chip:
    """One science image of an exposure, in one HDU."""

    hdu: int  # index of the HDU in the file, 0 is the primary
    width_px: int  # NAXIS1
    height_px: int  # NAXIS2
    ra_deg: float  # centre, ICRS
    dec_deg: float  # centre, ICRS
    corners_deg: tuple[tuple[float, float], ...]  # (ra, dec) of the four outer corners, ICRS
    scale_arcsec: float  # mean pixel scale, arcsec/pixel
    #: Cards put over the file's own, by a header map for one; None for one that has to go.
    cards: tuple[tuple[str, str | bool | float | int | None], ...] = ()

    @staticmethod
    def outline_px(width_px: int, height_px: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """FITS pixel coordinates of the centre and the four outer corners, x and y apart.

        >>> Chip.outline_px(4, 2)
        ((2.5, 0.5, 4.5, 4.5, 0.5), (1.5, 0.5, 0.5, 2.5, 2.5))
        """
        left, right, top = 0.5, width_px + 0.5, height_px + 0.5
        return ((width_px + 1) / 2.0, left, right, right, left), ((height_px + 1) / 2.0, 0.5, 0.5, top, top)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exposure:
    """One science exposure of one file, as its header tells it."""

    path: str  # absolute path of the file
    digest: str  # BLAKE2b-128 of the file's bytes, hex: the exposure's identity
    date_obs: str  # start of exposure, UTC, ISOT with 3 decimals or more
    mjd_start: float  # start of exposure, UTC MJD
    mjd_mid: float  # middle of exposure, UTC MJD
    exptime_s: float  # exposure time, seconds
    filter: str  # filter/band as in the header, "" when the header has none
    object: str  # target as in the header, "" when the header has none
    telescope: str  # TELESCOP, "" when absent
    instrument: str  # INSTRUME, "" when absent
    ra_deg: float  # centre of the footprint of all chips, ICRS
    dec_deg: float  # centre of the footprint of all chips, ICRS
    width_deg: float  # extent of the footprint along RA, on the sky (cos Dec applied)
    height_deg: float  # extent of the footprint along Dec
    chips: tuple[Chip, ...]  # one per science HDU, in file order
    n_hdus: int = 0  # HDUs of the file of any kind, the primary included; 0 when not known
    warnings: tuple[str, ...] = ()  # what was repaired or guessed while reading the header

    @property
    def name(self) -> str:
        """The file's name without folder."""
        return Path(self.path).name

    @property
    def stem(self) -> str:
        """The file's name without folder and FITS suffixes (``a.fits.fz`` becomes ``a``)."""
        return fits_stem(self.name)

    @property
    def frame(self) -> tuple[str | float | tuple[int, int], ...]:
        """Equal for the files of one frame (``a.fits``, ``a.fits.fz``), whatever their bytes and names."""
        return (
            *(self.telescope, self.instrument, self.filter, self.mjd_start, self.exptime_s),
            *(round(self.ra_deg, 7), round(self.dec_deg, 7)),
            *((chip.width_px, chip.height_px) for chip in self.chips),
        )

    def at(self, path: str) -> Exposure:
        """Return the same exposure under another of its files' names."""
        return replace(self, path=path)

    def to_json(self) -> str:
        """Serialise for the store; the inverse of `from_json`."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Exposure:
        """Rebuild an exposure from `to_json`."""
        data: dict[str, Any] = json.loads(text)
        data["chips"] = tuple(
            Chip(
                **{
                    **chip,
                    "corners_deg": tuple((ra, dec) for ra, dec in chip["corners_deg"]),
                    "cards": tuple((keyword, value) for keyword, value in chip.get("cards", ())),
                }
            )
            for chip in data["chips"]
        )
        data["warnings"] = tuple(data["warnings"])
        return cls(**data)


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalogue:
    """The SExtractor catalogue (FITS-LDAC) of one exposure."""

    path: str  # absolute path of the .cat file
    key: str  # digest of all it depends on: exposure, set-up, weights, version
    n_detections: int  # rows over all chips
    fwhm_px: float  # median FWHM of unflagged detections, pixels; NaN when not measured
    background: float  # median background, counts; NaN when not measured
    log_tail: str = ""  # last lines SExtractor printed


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop:
    """An exposure that a sequence went on without, and why."""

    digest: str  # of the exposure
    reason: str  # one sentence for a person


FITS_SUFFIXES = tuple(
    f"{kind}{packing}" for packing in (".fz", ".gz", ".bz2", "") for kind in (".fits", ".fit", ".fts")
)


def is_fits_name(name: str) -> bool:
    """Whether a file name has one of the FITS suffixes that ssosd reads.

    >>> is_fits_name("a.FITS.fz"), is_fits_name("a.txt")
    (True, False)
    """
    return name.lower().endswith(FITS_SUFFIXES)


def fits_stem(name: str) -> str:
    """File name without its FITS suffixes.

    >>> fits_stem("20190326.0126.fits.fz")
    '20190326.0126'
    """
    lowered = name.lower()
    for suffix in FITS_SUFFIXES:
        if lowered.endswith(suffix):
            return name[: -len(suffix)]
    return name


@dataclass(frozen=True, kw_only=True, slots=True)
class Blink:
    """Frames of one candidate, to be looked at one after the other; north up, east left."""

    sheet: bytes  # PNG: square frames side by side
    side_px: int  # of a frame
    numbers: tuple[int, ...]  # CATALOG_NUMBER of each frame
    marks: tuple[tuple[float, float], ...]  # where it is in each frame: pixels from the left and from the top
    together: bool  # the stars stand still; else each frame is centred on the candidate
