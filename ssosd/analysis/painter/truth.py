"""Truth tables of a painted night: what moved where, how well it could be seen, and which of it is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from ssosd.analysis.painter.options import SkyOptions
from ssosd.analysis.painter.sources import stream
from ssosd.analysis.painter.wcs import from_offsets
from ssosd.sphere import offsets_arcsec

#: Columns of truth.csv.
TRUTH_COLUMNS = (
    "id",  # of the mover
    "cls",  # its population
    "field",
    "visit",  # 1-based
    "image",  # file name of the exposure, without compression suffix
    "ext",  # HDU of the chip in the unpacked file, 0 is the primary
    "mjd_mid",  # middle of the exposure, UTC
    "ra",  # at mjd_mid, deg ICRS
    "dec",
    "x",  # FITS pixel (1-based) on that chip
    "y",
    "mag",
    "snr",  # optimal, with the mover's own noise; empty off the detector
    "rate",  # arcsec/h on the sky
    "pa",  # deg, north through east
    "trail_px",  # length of the trail
    "on_detector",  # its middle
    "whole",  # all of its trail, two FWHM from the edge
    "contam",  # light of all else under its profile over its own; empty off the detector
    "unblended",  # contam below CONTAM_LIMIT
    "detectable",  # whole, unblended and snr above SNR_LIMIT
    "known",  # listed in known.csv
)
#: More strange light than this, relative to the mover's own, spoils its measurement.
CONTAM_LIMIT = 0.3
#: Below this a mover cannot be seen on one exposure.
SNR_LIMIT = 5.0


def truth_rows(
    movers: pd.DataFrame,
    state: pd.DataFrame,
    chips: Sequence[pd.DataFrame],
    *,
    moment: Mapping[str, object],
    trail_px_per_rate: float,
    follow_arcsec_h: tuple[float, float] = (0.0, 0.0),
) -> pd.DataFrame:
    """Truth of one exposure.

    Parameters
    ----------
    movers : DataFrame
        n rows, from `ssosd.analysis.painter.movers.mover_list`.
    state : DataFrame
        n rows, from `ssosd.analysis.painter.movers.ephemeris`.
    chips : sequence of DataFrame
        n rows for each chip, see `ssosd.analysis.painter.chip.PaintedChip.measures`.
    moment : mapping
        field, visit, image, mjd_mid.
    trail_px_per_rate : float
        Trail in pixels of 1 "/h.
    follow_arcsec_h : tuple of float
        East and north, what the telescope follows.

    Returns
    -------
    DataFrame
        n rows with `TRUTH_COLUMNS`: each mover on the chip it is on or next to.
    """
    nearest = np.argmin([chip["outside"].to_numpy() for chip in chips], axis=0)
    n = len(movers)
    every = pd.concat(chips, ignore_index=True)
    here = every.iloc[nearest * n + np.arange(n)].reset_index(drop=True)
    table = pd.concat(
        [movers[["id", "cls", "known"]], state[["ra", "dec", "rate", "pa", "mag"]], here], axis=1
    )
    table = table.assign(**moment)
    pa, rate = np.radians(table["pa"]), table["rate"]
    east, north = follow_arcsec_h
    table["trail_px"] = np.hypot(rate * np.sin(pa) - east, rate * np.cos(pa) - north) * trail_px_per_rate
    table["unblended"] = table["contam"] < CONTAM_LIMIT
    table["detectable"] = table["whole"] & table["unblended"] & (table["snr"] > SNR_LIMIT)
    return table[list(TRUTH_COLUMNS)]


def known_table(
    options: SkyOptions,
    movers: pd.DataFrame,
    state: pd.DataFrame,
    *,
    moment: Mapping[str, object],
    field: int,
) -> pd.DataFrame:
    """Ephemerides of the known movers at one exposure, wrong by about their stated uncertainty.

    Returns
    -------
    DataFrame
        id, field, image, mjd_mid, epoch (ISO, UTC), ra, dec (deg), Mv, dra, ddec ("/h, dra with cos Dec), unc
        (arcsec, 1 sigma), name (a provisional designation), number (empty when unnumbered).
    """
    rng = stream(options.seed, "known", field)
    n = len(movers)
    unc = 0.4 * np.exp(1.2 * rng.standard_normal(n))
    east, north = rng.standard_normal((2, n)) * unc / np.sqrt(2.0)
    magnitude_error = 0.2 * rng.standard_normal(n)
    numbered = rng.random(n) < 0.65
    serial = movers["id"].str.extract(r"(\d+)$", expand=False).fillna("0").astype(int).to_numpy()
    xi, eta = offsets_arcsec(state["ra"], state["dec"], *options.centers_deg[field - 1])
    ra, dec = from_offsets(xi + east, eta + north, *options.centers_deg[field - 1])
    pa = np.radians(state["pa"].to_numpy())
    epoch = datetime(1858, 11, 17) + timedelta(days=float(str(moment["mjd_mid"])))
    table = pd.DataFrame(
        {
            "id": movers["id"],
            "field": moment["field"],
            "image": moment["image"],
            "mjd_mid": moment["mjd_mid"],
            "epoch": epoch.isoformat(timespec="milliseconds"),
            "ra": ra,
            "dec": dec,
            "Mv": state["mag"].to_numpy() + magnitude_error,
            "dra": state["rate"].to_numpy() * np.sin(pa),
            "ddec": state["rate"].to_numpy() * np.cos(pa),
            "unc": unc,
            "name": [_designation(int(k)) for k in serial],
            "number": pd.Series(100000 + serial, dtype="Int64").where(pd.Series(numbered)),
        }
    )
    return table[movers["known"].to_numpy(dtype=bool)].reset_index(drop=True)


def _designation(serial: int) -> str:
    """Provisional designation of the k-th mover: second letters A-Z without I, then the cycle count."""
    cycle, letter = divmod(serial - 1, 25)
    return f"2015 L{'ABCDEFGHJKLMNOPQRSTUVWXYZ'[letter]}{cycle or ''}"
