"""What a painted sky consists of: the options of the painter, with their units."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from ssosd.errors import Misconfigured
from ssosd.model import FITS_SUFFIXES

#: Formats the painter can write.
FORMATS = (".fits", ".fits.fz", ".fits.gz")


@dataclass(frozen=True, kw_only=True, slots=True)
class MoverClass:
    """A population of movers, spread uniformly over each field at the middle of the night."""

    name: str  # as in the truth's column "cls"
    count: int  # per field
    rate_arcsec_h: tuple[float, float]  # on the sky, drawn log-uniform
    mag: tuple[float, float]  # brightest and faintest, numbers grow as 10^(MoverClass.mag_slope * mag)
    mag_slope: float = 0.25  # dex per mag; 0 is uniform
    pa_deg: tuple[float, float] = (0.0, 360.0)  # position angle of the motion, north through east, uniform
    along_ecliptic: bool = False  # pa_deg counts from the ecliptic's retrograde direction (opposition)
    extent_arcsec: float = 0.0  # FWHM without seeing: of a comet's coma
    acceleration_arcsec_h2: tuple[float, float] | None = None  # log-uniform; None: as curvature_per_h has it


MAIN_BELT = MoverClass(
    name="mb",
    count=12,
    rate_arcsec_h=(20.0, 60.0),
    mag=(17.0, 21.5),
    pa_deg=(-25.0, 25.0),
    along_ecliptic=True,
)
SLOW = MoverClass(name="slow", count=3, rate_arcsec_h=(0.5, 5.0), mag=(17.5, 21.5))
NEO = MoverClass(name="neo", count=3, rate_arcsec_h=(60.0, 300.0), mag=(16.5, 21.0))
FAST = MoverClass(name="fast", count=2, rate_arcsec_h=(300.0, 2000.0), mag=(15.5, 19.5))


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedMover:
    """One mover at a place of the caller's choice."""

    name: str  # as in the truth's column "id"
    field: int = 1  # 1-based index of the field
    east_arcsec: float = 0.0  # gnomonic, from the field's centre at the middle of the night
    north_arcsec: float = 0.0  # gnomonic, from the field's centre at the middle of the night
    rate_arcsec_h: float = 30.0  # on the sky
    pa_deg: float = 250.0  # north through east
    mag: float = 18.0  # total
    extent_arcsec: float = 0.0  # FWHM without seeing: of a comet's coma
    cls: str = "placed"  # as in the truth's column "cls"


@dataclass(frozen=True, kw_only=True, slots=True)
class SkyOptions:
    """One night of one camera; all that is random derives from `seed`, the detector from `detector_seed`."""

    seed: int = 1
    detector_seed: int = 0

    # where and when
    centers_deg: tuple[tuple[float, float], ...] = ((50.0, 18.0),)  # RA, Dec ICRS of each field
    exposures: int = 5  # visits of each field
    start: str = "2026-11-14T23:00:00"  # of the first exposure, UTC
    cadence_min: float = 15.0  # between visits of one field; the fields are interleaved in between
    visit_offsets_min: tuple[float, ...] = ()  # start of each visit after `start`; empty: visit * cadence_min
    jitter_s: float = 5.0  # each start is late by up to this
    exptimes_s: tuple[float, ...] = (120.0,)  # taken in turn over the visits
    filters: tuple[str, ...] = ("r",)  # taken in turn over the visits
    colours_mag: tuple[float, ...] = ()  # added to all magnitudes in each of `filters`; empty: none

    # camera
    size_px: tuple[int, int] = (1024, 1024)  # NAXIS1, NAXIS2 of each chip
    scale_arcsec: float = 1.0  # per pixel
    chips: tuple[int, int] = (1, 1)  # columns, rows of chips in the mosaic
    gap_px: int = 40  # between chips
    empty_primary: bool = True  # of a mosaic's file; False: its first chip is the primary
    rotation_deg: float = 0.0  # of the camera, header and truth alike
    gain: float = 1.5  # e-/ADU
    read_noise_e: float = 8.0  # e- rms
    bias_adu: float = 300.0
    saturation_adu: float = 60000.0  # the SATURATE keyword, bias included; pixels clip 2 % above it
    distortion_px: float = 0.0  # radial, cubic: displacement at the mosaic's corner, absent from the header

    # atmosphere
    seeing_arcsec: float = 2.4  # median FWHM
    seeing_scatter: float = 0.1  # of its natural logarithm, frame to frame
    blur: float = 0.0  # FWHM added in quadrature at the mosaic's corner, over that of the seeing; as r^2
    psf: str = "moffat"  # or "gaussian"
    moffat_beta: float = 3.0
    zero_point: float = 24.0  # magnitude of 1 e-/s
    zero_point_scatter_mag: float = 0.02  # frame to frame
    sky_mag: float = 20.6  # per square arcsec
    sky_gradient: float = 0.03  # peak to peak over a chip, as a fraction of the sky
    clouds: tuple[tuple[int, float], ...] = ()  # (visit, extinction in mag)

    # pointing
    dither_arcsec: float = 10.0  # each exposure is off the field's centre by up to this in each axis
    drift_arcsec: tuple[float, float] = (0.0, 0.0)  # east, north, added per visit
    follow_arcsec_h: tuple[float, float] = (0.0, 0.0)  # east, north: what the telescope follows all the time
    pointing_error_arcsec: float = 3.0  # of the header, in a random direction per exposure
    rotation_error_deg: float = 0.0  # of the header, sign random per exposure

    # sources at rest, numbers per field
    stars: int = 2000
    star_mags: tuple[float, float] = (10.0, 23.0)  # brightest and faintest
    star_slope: float = 0.25  # dex per mag
    galaxies: int = 500
    galaxy_mags: tuple[float, float] = (16.0, 23.0)

    # sources in motion
    movers: tuple[MoverClass, ...] = (MAIN_BELT, SLOW, NEO, FAST)
    placed: tuple[PlacedMover, ...] = ()
    lightcurve_mag: float = 0.05  # amplitudes are drawn up to this, periods from 2 to 12 h
    curvature_per_h: float = 0.012  # mean acceleration over rate (parallax); 0: uniform on a great circle
    known_fraction: float = 0.6  # of the movers, listed in known.csv

    # flaws
    hot_pixels: int = 100  # per chip
    bad_columns: int = 1  # per chip
    cosmics: float = 15.0  # mean number per chip and exposure
    satellites: float = 0.1  # mean number of trails per exposure
    spikes: bool = True  # diffraction spikes of saturated stars
    bleeds: bool = True  # bleeding columns of saturated stars

    # files
    formats: tuple[str, ...] = (".fits",)  # taken in turn over the exposures in time order
    objects: tuple[tuple[int, int, str], ...] = ()  # (field, visit, OBJECT); "" leaves the keyword out
    refcat_mag_limit: float = 20.0  # faintest star of the reference catalogue
    refcat_error_mas: tuple[float, float] = (20.0, 50.0)  # range of its errors, 1 sigma per axis

    def __post_init__(self) -> None:
        """Refuse what cannot be painted.

        Raises
        ------
        Misconfigured
            An option is out of its range.
        """
        checks = {
            "centers_deg: at least one field": bool(self.centers_deg),
            "exposures: 1 or more": self.exposures >= 1,
            "size_px: 64 or more": min(self.size_px) >= 64,
            "chips: 1 or more": min(self.chips) >= 1,
            "exptimes_s: positive": bool(self.exptimes_s) and min(self.exptimes_s) > 0.0,
            "filters: at least one": bool(self.filters),
            "colours_mag: none or one per filter": len(self.colours_mag) in (0, len(self.filters)),
            "visit_offsets_min: none or one per exposure": len(self.visit_offsets_min) in (0, self.exposures),
            "visit_offsets_min: ascending": all(a <= b for a, b in pairwise(self.visit_offsets_min)),
            'psf: "moffat" or "gaussian"': self.psf in ("moffat", "gaussian"),
            "moffat_beta: above 1": self.moffat_beta > 1.0,
            "saturation_adu: above bias_adu, up to 64000": self.bias_adu < self.saturation_adu <= 64000.0,
            f"formats: of {', '.join(FORMATS)}": bool(self.formats) and set(self.formats) <= set(FORMATS),
            "start: a time such as 2026-11-14T23:00:00": _is_time(self.start),
        }
        for rule, holds in checks.items():
            if not holds:
                raise Misconfigured(f"sky option {rule}")

    def visit_min(self, visit: int) -> float:
        """Start of a visit (1-based) after the start of the night, minutes."""
        return self.visit_offsets_min[visit - 1] if self.visit_offsets_min else (visit - 1) * self.cadence_min

    @property
    def n_chips(self) -> int:
        """Chips of the mosaic."""
        return self.chips[0] * self.chips[1]

    @property
    def focal_plane_px(self) -> tuple[int, int]:
        """Width and height of the mosaic with its gaps."""
        return (
            self.chips[0] * self.size_px[0] + (self.chips[0] - 1) * self.gap_px,
            self.chips[1] * self.size_px[1] + (self.chips[1] - 1) * self.gap_px,
        )


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is None
    except ValueError:
        return False


assert set(FORMATS) <= set(FITS_SUFFIXES)
