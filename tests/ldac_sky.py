"""Small skies as SExtractor catalogues: no images, so a test with the real SCAMP takes half a second."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS
from numpy.typing import NDArray

from ssosd import astromatic
from ssosd.ldac import LdacChip, write_ldac
from ssosd.linker.refcat import write_reference
from ssosd.linker.scamp.link import Linked, link
from ssosd.model import Chip, Exposure
from ssosd.plumbing.resources import shipped
from ssosd.sphere import mean_position

MJD0 = 61358.8333
COLUMNS: list[tuple[str, str]] = [
    ("NUMBER", "i4"),
    ("XWIN_IMAGE", "f8"),
    ("YWIN_IMAGE", "f8"),
    ("AWIN_IMAGE", "f4"),
    ("ERRAWIN_IMAGE", "f4"),
    ("BWIN_IMAGE", "f4"),
    ("ERRBWIN_IMAGE", "f4"),
    ("THETAWIN_IMAGE", "f4"),
    ("ERRTHETAWIN_IMAGE", "f4"),
    ("ERRA_WORLD", "f4"),
    ("ERRB_WORLD", "f4"),
    ("ERRTHETA_WORLD", "f4"),
    ("FLUX_AUTO", "f4"),
    ("FLUXERR_AUTO", "f4"),
    ("MAG_AUTO", "f4"),
    ("MAGERR_AUTO", "f4"),
    ("FLUX_RADIUS", "f4"),
    ("ELONGATION", "f4"),
    ("SNR_WIN", "f4"),
    ("FLAGS", "i2"),
]
#: Changes a frame on its way to the disk: (exposure index, chip index, header, objects) -> objects.
Spoiler = Callable[[int, int, fits.Header, NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Mover:
    ra: float  # deg at MJD0
    dec: float  # deg at MJD0
    pmra: float  # arcsec/h, with cos Dec
    pmdec: float  # arcsec/h
    mag: float = 18.0

    def at(self, mjd: float) -> tuple[float, float]:
        """Position on its great circle."""
        hours = (mjd - MJD0) * 24.0
        plane = TanPlane(self.ra, self.dec)
        ra, dec = plane.sky(np.array([self.pmra * hours]), np.array([self.pmdec * hours]))
        return float(ra[0]), float(dec[0])


class TanPlane:
    def __init__(self, ra: float, dec: float) -> None:
        self.wcs = WCS(naxis=2)
        self.wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        self.wcs.wcs.crval = [ra, dec]
        self.wcs.wcs.crpix = [0.0, 0.0]
        self.wcs.wcs.cdelt = [1.0 / 3600.0, 1.0 / 3600.0]

    def sky(self, xi: NDArray[np.float64], eta: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        return self.wcs.all_pix2world(xi, eta, 0)


@dataclass(frozen=True, kw_only=True)
class Sky:
    ra: float
    dec: float
    n_exposures: int = 4
    n_stars: int = 250  # over the area of all chips and dithers
    size_px: int = 1024
    scale: float = 1.0  # arcsec/pixel
    chips: int = 1  # side by side along x, 20 px apart
    hdus: Sequence[int] = (0,)  # of the chips in the original file
    cadence_h: float = 0.25
    exptimes: Sequence[float] = (60.0,)  # repeated as needed
    dither_px: float = 8.0
    steps_px: Sequence[tuple[float, float]] = ((0.0, 0.0),)  # pointings, repeated as needed
    pointing_error: float = 3.0  # arcsec
    rotation_error: float = 0.1  # deg
    noise_px: float = 0.03
    movers: Sequence[Mover] = ()
    seed: int = 1
    starts: Sequence[float] = ()  # hours after MJD0 in place of the cadence
    filters: Sequence[str] = ("r",)
    spoil: Spoiler | None = None
    extra_dtype: Sequence[tuple[str, str]] = field(default_factory=list)

    def write(self, folder: Path) -> Written:
        """Write the catalogues, their .ahead files and the reference."""
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(self.seed)
        reach = 6 * self.dither_px + 2 * np.abs(self.steps_px).max(axis=0)
        extent = (self.size_px * self.chips + 20 * self.chips + reach[0]) * self.scale
        height = (self.size_px + reach[1]) * self.scale
        ra, dec = TanPlane(self.ra, self.dec).sky(
            rng.uniform(-extent / 2, extent / 2, self.n_stars),
            rng.uniform(-height / 2, height / 2, self.n_stars),
        )
        mag = 19.0 - rng.exponential(1.2, self.n_stars)
        reference = pd.DataFrame({"RA": ra, "DEC": dec, "MAG": mag})
        write_reference(folder / "reference.cat", reference, epoch=2026.0)
        exposures, catalogues, truth = [], [], []
        for index in range(self.n_exposures):
            exposure, path, rows = self._expose(folder, index, rng, reference)
            exposures.append(exposure)
            catalogues.append(path)
            truth.extend(rows)
        return Written(
            exposures=exposures,
            catalogues=catalogues,
            reference=folder / "reference.cat",
            stars=reference,
            truth=pd.DataFrame(truth, columns=["digest", "mover", "mjd", "ra", "dec", "chip", "number"]),
        )

    def _expose(
        self, folder: Path, index: int, rng: np.random.Generator, reference: pd.DataFrame
    ) -> tuple[Exposure, Path, list[tuple[Any, ...]]]:
        exptime = float(self.exptimes[index % len(self.exptimes)])
        hours = self.starts[index] if self.starts else index * self.cadence_h
        start = MJD0 + hours / 24.0
        mid = start + exptime / 2.0 / 86400.0
        digest = hashlib.blake2b(f"{self.seed} {index}".encode(), digest_size=16).hexdigest()
        name = f"frame-{index + 1:03d}"
        shift = rng.uniform(-self.dither_px, self.dither_px, 2)
        shift += np.array(self.steps_px[index % len(self.steps_px)])
        error = rng.normal(0.0, self.pointing_error / 3600.0, 2)
        angle = rng.normal(0.0, self.rotation_error)
        moving = [mover.at(mid) for mover in self.movers]
        ra = np.concatenate([reference["RA"], [m[0] for m in moving]])
        dec = np.concatenate([reference["DEC"], [m[1] for m in moving]])
        mag = np.concatenate([reference["MAG"], [m.mag for m in self.movers]])
        who = np.concatenate([np.full(len(reference), -1), np.arange(len(moving))])
        chips, entries, aheads, truth = [], [], [], []
        for chip in range(self.chips):
            offset = (chip - (self.chips - 1) / 2.0) * (self.size_px + 20)
            true = self._wcs(shift, offset, np.zeros(2), 0.0)
            stated = self._wcs(shift, offset, error, angle)
            objects, kept = self._detect(rng, true, ra, dec, mag)
            header = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2)])
            header["NAXIS1"] = header["NAXIS2"] = self.size_px
            header["OBJECT"] = "F01 & <friends>"
            header["FILTER"] = self.filters[index % len(self.filters)]
            header["EXPTIME"] = exptime
            header["DATE-OBS"] = Time(start, format="mjd").isot
            header.update(stated.to_header())
            if self.spoil is not None:
                objects = self.spoil(index, chip, header, objects)
            chips.append(LdacChip(header=header, objects=objects))
            aheads.append(f"MJD-OBS = {start!r}\nEND     \n")
            corners = true.calc_footprint(axes=(self.size_px, self.size_px))
            centre = mean_position(corners[:, 0], corners[:, 1])
            entries.append(
                Chip(
                    hdu=self.hdus[chip],
                    width_px=self.size_px,
                    height_px=self.size_px,
                    ra_deg=centre[0],
                    dec_deg=centre[1],
                    corners_deg=tuple((float(r), float(d)) for r, d in corners),
                    scale_arcsec=self.scale,
                )
            )
            for number, source in enumerate(kept):
                if who[source] >= 0:
                    position = (float(ra[source]), float(dec[source]))
                    truth.append((digest, int(who[source]), mid, *position, chip, number))
        write_ldac(folder / f"{name}.cat", chips)
        (folder / f"{name}.ahead").write_text("".join(aheads))
        centre = mean_position([c.ra_deg for c in entries], [c.dec_deg for c in entries])
        exposure = Exposure(
            path=f"/data/{name}.fits",
            digest=digest,
            date_obs=Time(start, format="mjd").isot,
            mjd_start=start,
            mjd_mid=mid,
            exptime_s=exptime,
            filter=self.filters[index % len(self.filters)],
            object="F01",
            telescope="",
            instrument="",
            ra_deg=centre[0],
            dec_deg=centre[1],
            width_deg=self.chips * self.size_px * self.scale / 3600.0,
            height_deg=self.size_px * self.scale / 3600.0,
            chips=tuple(entries),
        )
        return exposure, folder / f"{name}.cat", truth

    def _wcs(self, shift: NDArray[Any], offset: float, error: NDArray[Any], angle: float) -> WCS:
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        ra = self.ra + error[0] / np.cos(np.radians(self.dec))
        wcs.wcs.crval = [ra % 360.0, self.dec + error[1]]
        wcs.wcs.crpix = [self.size_px / 2 + 0.5 - offset + shift[0], self.size_px / 2 + 0.5 + shift[1]]
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        pixel = self.scale / 3600.0
        wcs.wcs.cd = [[-pixel * cos, pixel * sin], [pixel * sin, pixel * cos]]
        return wcs

    def _detect(
        self, rng: np.random.Generator, wcs: WCS, ra: NDArray[Any], dec: NDArray[Any], mag: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[np.intp]]:
        x, y = wcs.all_world2pix(ra, dec, 1)
        kept = np.flatnonzero((x > 1) & (x < self.size_px) & (y > 1) & (y < self.size_px))
        kept = kept[np.argsort(y[kept], kind="stable")]  # SExtractor lists from the bottom up
        n = len(kept)
        objects = np.zeros(n, dtype=np.dtype([*COLUMNS, *self.extra_dtype]))
        objects["NUMBER"] = np.arange(1, n + 1)
        objects["XWIN_IMAGE"] = x[kept] + rng.normal(0.0, self.noise_px, n)
        objects["YWIN_IMAGE"] = y[kept] + rng.normal(0.0, self.noise_px, n)
        for name in ("ERRAWIN_IMAGE", "ERRBWIN_IMAGE"):
            objects[name] = max(self.noise_px, 0.01)
        for name in ("ERRA_WORLD", "ERRB_WORLD"):
            objects[name] = max(self.noise_px, 0.01) * self.scale / 3600.0
        objects["AWIN_IMAGE"] = objects["BWIN_IMAGE"] = 1.1
        objects["FLUX_AUTO"] = 10.0 ** (-0.4 * (mag[kept] - 25.0))
        objects["FLUXERR_AUTO"] = 3.0 + 0.01 * objects["FLUX_AUTO"]
        objects["MAG_AUTO"] = mag[kept]
        objects["MAGERR_AUTO"] = 0.02
        objects["FLUX_RADIUS"] = 1.5
        objects["ELONGATION"] = 1.05
        objects["SNR_WIN"] = objects["FLUX_AUTO"] / objects["FLUXERR_AUTO"]
        return objects, kept


@dataclass(frozen=True, kw_only=True)
class Written:
    exposures: list[Exposure]
    catalogues: list[Path]
    reference: Path
    stars: pd.DataFrame
    truth: pd.DataFrame  # one row per mover and exposure on a chip

    def without(self, *indices: int) -> Written:
        """The same night with some exposures missing."""
        keep = [i for i in range(len(self.exposures)) if i not in indices]
        return replace(
            self, exposures=[self.exposures[i] for i in keep], catalogues=[self.catalogues[i] for i in keep]
        )


def link_sky(written: Written, workdir: Path, **changes: Any) -> Linked:
    """`link` on a written sky with the shipped set-up."""
    workdir.mkdir(parents=True, exist_ok=True)
    arguments: dict[str, Any] = {
        "exposures": written.exposures,
        "catalogues": written.catalogues,
        "binary": astromatic.find("scamp"),
        "config": shipped("semp/ssos.scamp"),
        "reference": written.reference,
        "crossid_radius_arcsec": 10.0,
        "remove_ref_sources": False,
        "workdir": workdir,
        "time_limit_s": 60.0,
    }
    return link(**{**arguments, **changes})


def of_movers(linked: Linked, written: Written) -> pd.DataFrame:
    """The detections that are movers, with MOVER and the true RA_TRUE, DEC_TRUE."""
    truth = written.truth.copy()
    numbers = {e.digest: i for i, e in enumerate(linked.exposures, start=1)}
    hdus = {(e.digest, k): chip.hdu for e in linked.exposures for k, chip in enumerate(e.chips)}
    truth = truth[truth["digest"].isin(numbers)]
    truth["CATALOG_NUMBER"] = truth["digest"].map(numbers)
    truth["EXTENSION"] = [hdus[key] for key in zip(truth["digest"], truth["chip"], strict=True)]
    truth["NUMBER"] = truth["number"] + 1
    truth = truth.rename(columns={"mover": "MOVER", "ra": "RA_TRUE", "dec": "DEC_TRUE", "mjd": "MJD_TRUE"})
    return linked.detections.merge(
        truth.drop(columns=["digest", "chip", "number"]), on=["CATALOG_NUMBER", "EXTENSION", "NUMBER"]
    )
