"""Small painted skies for tests, and thin ways to run the real binaries on them.

``small_sky(folder)`` paints four exposures of 384 x 384 px with 100 stars and three bright movers in 0.3 s; any
option of `SkyOptions` may be given. ``shared_sky(tmp_path_factory, ...)`` paints each set of options once a
session: treat what it gives as read-only. Test modules that want the default one import the fixture:

    from tests.sky import sky  # noqa: F401
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy.io.votable import parse as parse_votable

from ssosd import astromatic
from ssosd.analysis.painter.night import PaintedNight, PlacedMover, SkyOptions, paint_night
from ssosd.ingest import sextractor
from ssosd.ingest.prepare import prepare_image
from ssosd.ldac import read_ldac
from ssosd.model import Exposure
from ssosd.plumbing.resources import shipped

#: Three movers that any linker should find: 30, 45 and 20 "/h, SNR 40 to 130.
MOVERS = (
    PlacedMover(
        name="BRIGHT", east_arcsec=60.0, north_arcsec=90.0, rate_arcsec_h=30.0, pa_deg=250.0, mag=17.0
    ),
    PlacedMover(
        name="QUICK", east_arcsec=-80.0, north_arcsec=40.0, rate_arcsec_h=45.0, pa_deg=100.0, mag=17.5
    ),
    PlacedMover(
        name="FAINT", east_arcsec=20.0, north_arcsec=-110.0, rate_arcsec_h=20.0, pa_deg=330.0, mag=18.5
    ),
)
SMALL = SkyOptions(
    exposures=4,
    size_px=(384, 384),
    stars=100,
    star_mags=(13.5, 20.5),
    galaxies=15,
    galaxy_mags=(17.0, 20.0),
    movers=(),
    placed=MOVERS,
    hot_pixels=10,
    bad_columns=0,
    cosmics=2.0,
    satellites=0.0,
    curvature_per_h=0.0,
)
_PARAMETERS = """
    NUMBER EXT_NUMBER XWIN_IMAGE YWIN_IMAGE ERRAWIN_IMAGE ERRBWIN_IMAGE ERRTHETAWIN_IMAGE AWIN_IMAGE BWIN_IMAGE
    THETAWIN_IMAGE ALPHAWIN_J2000 DELTAWIN_J2000 FLUX_AUTO FLUXERR_AUTO MAG_AUTO MAGERR_AUTO MAG_APER(1)
    MAGERR_APER(1) SNR_WIN ELONGATION FWHM_IMAGE FLUX_RADIUS FLAGS
"""
_PAINTED: dict[SkyOptions, PaintedNight] = {}


def small_options(**options: Any) -> SkyOptions:
    """Options of the small sky with some changed."""
    return replace(SMALL, **options)


def small_sky(folder: Path, **options: Any) -> PaintedNight:
    """Paint the small sky, with some options changed, into a folder."""
    return paint_night(folder, small_options(**options))


def shared_sky(tmp_path_factory: pytest.TempPathFactory, **options: Any) -> PaintedNight:
    """The small sky with some options changed, painted once a session: read-only."""
    wanted = small_options(**options)
    if wanted not in _PAINTED:
        _PAINTED[wanted] = paint_night(tmp_path_factory.mktemp("sky"), wanted)
    return _PAINTED[wanted]


@pytest.fixture(scope="session")
def sky(tmp_path_factory: pytest.TempPathFactory) -> PaintedNight:
    """The small sky, painted once a session: read-only."""
    return shared_sky(tmp_path_factory)


def extract(
    path: Path, folder: Path, *, zero_point: float = 0.0, aperture_px: float = 20.0
) -> list[pd.DataFrame]:
    """Detections of the real SExtractor with the shipped set-up, one table per science HDU.

    The catalogue is ``folder / <stem>.cat``. Compressed files are none of SExtractor's business: paint .fits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "painted.param").write_text("\n".join(_PARAMETERS.split()) + "\n")
    catalogue = folder / f"{path.stem}.cat"
    arguments: list[str | Path] = [path, "-c", shipped("semp/ssos.sex")]
    arguments += ["-PARAMETERS_NAME", folder / "painted.param", "-CATALOG_NAME", catalogue]
    arguments += [
        "-FILTER_NAME",
        shipped("semp/gauss_2.5_5x5.conv"),
        "-STARNNW_NAME",
        shipped("semp/default.nnw"),
    ]
    arguments += ["-CATALOG_TYPE", "FITS_LDAC", "-MAG_ZEROPOINT", f"{zero_point:.6f}"]
    arguments += ["-PHOT_APERTURES", f"{aperture_px:g}", "-VERBOSE_TYPE", "QUIET"]
    astromatic.run(astromatic.find("sextractor"), arguments, cwd=folder, time_limit_s=60.0)
    return [chip.frame() for chip in read_ldac(catalogue)]


def catalogue_of(exposure: Exposure, folder: Path, *, config: str = "ssos.sex") -> Path:
    """The exposure's catalogue as the corridor makes it, by a shipped set-up: ``folder / <stem>.cat``."""
    output = folder / f"{exposure.stem}.cat"
    sextractor.extract(
        exposure=exposure,
        prepared=prepare_image(exposure, directory=folder / f"{exposure.stem}-plain", weights=None),
        binary=astromatic.find("sextractor"),
        config=shipped(f"semp/{config}"),
        params=shipped("semp/ssos.param"),
        conv=shipped("semp/gauss_2.5_5x5.conv"),
        nnw=shipped("semp/default.nnw"),
        output=output,
        scratch=folder,
        time_limit_s=300.0,
        key="",
    )
    return output


def solve(
    night: PaintedNight, folder: Path, *, field: str = "F01", radius_arcsec: float = 15.0
) -> pd.DataFrame:
    """Astrometry of the real SCAMP with the shipped set-up against the painted reference, one row per exposure.

    Columns: image, contrast (XY_Contrast), rms (arcsec, worst axis of AstromSigma_Reference).
    """
    rows = night.exposures[night.exposures["field"] == field]
    for row in rows.itertuples():
        extract(night.directory / str(row.path), folder)
        ahead = f"MJD-OBS = {row.mjd_start:.9f}\nEND     \n" * night.options.n_chips
        (folder / str(row.image)).with_suffix(".ahead").write_text(ahead)
    catalogues = [f"{Path(image).stem}.cat" for image in rows["image"]]
    arguments: list[str | Path] = [*catalogues, "-c", shipped("semp/ssos.scamp"), "-NTHREADS", "1"]
    arguments += ["-ASTREF_CATALOG", "FILE", "-ASTREFCAT_NAME", night.refcats[field]]
    arguments += ["-MATCH", "Y", "-MATCH_RESOL", "4", "-CROSSID_RADIUS", f"{radius_arcsec:g}"]
    arguments += ["-CHECKPLOT_TYPE", "NONE", "-WRITE_XML", "Y", "-XML_NAME", "scamp.xml"]
    astromatic.run(astromatic.find("scamp"), arguments, cwd=folder, time_limit_s=60.0)
    tables = {t.name: t.to_table() for t in parse_votable(folder / "scamp.xml").iter_tables()}
    fields = tables["Fields"]
    return pd.DataFrame(
        {
            "image": [f"{str(name).removesuffix('.cat')}.fits" for name in fields["Catalog_Name"]],
            "contrast": np.asarray(fields["XY_Contrast"], dtype=float),
            "rms": np.asarray(fields["AstromSigma_Reference"], dtype=float).max(axis=1),
        }
    )
