"""When and where a painted night's exposures are taken, and under which sky."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from ssosd.analysis.painter.options import SkyOptions
from ssosd.analysis.painter.sources import stream
from ssosd.analysis.painter.wcs import Pointing, from_offsets, tangent_frame

#: UTC, days of 86400 s as MJD has them
_MJD_ZERO = datetime(1858, 11, 17)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """One exposure before it is painted: everything that is drawn for it as a whole."""

    image: str  # file name without compression suffix
    path: str  # file name as written
    field: str  # F01, F02...
    visit: int  # 1-based
    date_obs: str  # start, UTC
    mjd_start: float  # UTC
    mjd_mid: float  # UTC
    exptime: float  # s
    filter: str
    seeing: float  # FWHM, arcsec
    zp: float  # magnitude of 1 e-/s, clouds included
    zp_adu: float  # magnitude of 1 ADU in this exposure: MAG_ZEROPOINT of an exact measurement
    sky_e: float  # mean sky, e- per pixel
    ra: float  # true pointing, deg
    dec: float  # true pointing, deg
    rotation: float  # true, deg
    header_ra: float  # pointing as the header says, deg
    header_dec: float  # pointing as the header says, deg
    header_rotation: float  # as the header says, deg

    @property
    def field_number(self) -> int:
        """1-based index of the field."""
        return int(self.field[1:])

    def pointing_at(self, share: float, follow_arcsec_h: tuple[float, float]) -> Pointing:
        """Where it truly points at a share of the exposure time before (negative) or after its middle."""
        hours = share * self.exptime / 3600.0
        east, north = (rate * hours for rate in follow_arcsec_h)
        ra, dec = from_offsets(east, north, self.ra, self.dec)
        return Pointing(ra_deg=float(ra), dec_deg=float(dec), rotation_deg=self.rotation)

    @property
    def header_pointing(self) -> Pointing:
        """Where its header says it points."""
        return Pointing(ra_deg=self.header_ra, dec_deg=self.header_dec, rotation_deg=self.header_rotation)


def middle_mjd(options: SkyOptions) -> float:
    """Middle of the night: where the movers are placed."""
    start = datetime.fromisoformat(options.start)
    middle = start + timedelta(minutes=options.visit_min(options.exposures) / 2.0)
    return (middle - _MJD_ZERO) / timedelta(days=1)


def colour(options: SkyOptions, visit: int) -> float:
    """Magnitude that a visit's filter adds to everything in the sky."""
    return options.colours_mag[(visit - 1) % len(options.filters)] if options.colours_mag else 0.0


def _convergence_deg(start: tuple[float, float], end: tuple[float, float]) -> float:
    """Angle by which north turns along the great circle from one position to another.

    It keeps a header near the pole wrong by its pointing error and not rotated on top of it.
    """
    (here, *axes_here), (there, *axes_there) = tangent_frame(*start), tangent_frame(*end)
    east, north = (float(axis @ there) for axis in axes_here)
    back_east, back_north = (float(axis @ here) for axis in axes_there)
    leaving, arriving = np.arctan2(east, north), np.arctan2(-back_east, -back_north)
    same = start == end
    return 0.0 if same else float((np.degrees(arriving - leaving) + 180.0) % 360.0 - 180.0)


def shots(options: SkyOptions) -> Iterator[Shot]:
    """Draw the exposures of the night in time order, visit by visit through the fields."""
    night = datetime.fromisoformat(options.start)
    n_fields = len(options.centers_deg)
    extinction = dict(options.clouds)
    middle = middle_mjd(options)
    for visit in range(1, options.exposures + 1):
        for field in range(1, n_fields + 1):
            rng = stream(options.seed, "exposure", field, visit)
            late_s = rng.uniform(0.0, options.jitter_s)
            begin_min = options.visit_min(visit) + options.cadence_min * (field - 1) / n_fields
            begin = night + timedelta(milliseconds=round(begin_min * 60000.0 + late_s * 1000.0))
            exptime = options.exptimes_s[(visit - 1) % len(options.exptimes_s)]
            mjd = (begin - _MJD_ZERO) / timedelta(days=1)
            dither = rng.uniform(-options.dither_arcsec, options.dither_arcsec, 2)
            hours = (mjd + exptime / 172800.0 - middle) * 24.0
            east, north = (
                dither
                + np.array(options.drift_arcsec) * (visit - 1)
                + np.array(options.follow_arcsec_h) * hours
            )
            ra, dec = from_offsets(east, north, *options.centers_deg[field - 1])
            angle = rng.uniform(0.0, 2.0 * np.pi)
            error = options.pointing_error_arcsec
            header_ra, header_dec = from_offsets(
                error * np.sin(angle), error * np.cos(angle), float(ra), float(dec)
            )
            rotation_error = options.rotation_error_deg * rng.choice([-1.0, 1.0])
            turn = _convergence_deg((float(ra), float(dec)), (float(header_ra), float(header_dec)))
            seeing = options.seeing_arcsec * np.exp(options.seeing_scatter * rng.standard_normal())
            clear = options.zero_point + options.zero_point_scatter_mag * rng.standard_normal()
            sky_mag = options.sky_mag + 0.03 * rng.standard_normal()
            zp = clear - extinction.get(visit, 0.0)
            image = f"{night:%Y%m%d}_F{field:02d}_{visit:03d}.fits"
            suffix = options.formats[((visit - 1) * n_fields + field - 1) % len(options.formats)]
            yield Shot(
                image=image,
                path=image.removesuffix(".fits") + suffix,
                field=f"F{field:02d}",
                visit=visit,
                date_obs=begin.isoformat(timespec="milliseconds"),
                mjd_start=mjd,
                mjd_mid=mjd + exptime / 172800.0,
                exptime=exptime,
                filter=options.filters[(visit - 1) % len(options.filters)],
                seeing=float(seeing),
                zp=float(zp),
                zp_adu=float(zp + 2.5 * np.log10(exptime / options.gain)),
                sky_e=float(10.0 ** (0.4 * (clear - sky_mag)) * exptime * options.scale_arcsec**2),
                ra=float(ra),
                dec=float(dec),
                rotation=options.rotation_deg,
                header_ra=float(header_ra),
                header_dec=float(header_dec),
                header_rotation=float(options.rotation_deg + rotation_error + turn),
            )
