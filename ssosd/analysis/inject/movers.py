"""Synthetic movers of a sequence: as many as asked for, drawn from the exposures' own digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd

from ssosd.analysis.painter.wcs import from_offsets
from ssosd.sphere import ARCSEC_PER_DEG


def seed_of(digests: Iterable[str]) -> int:
    """Seed of a sequence: the same for the same set of exposures, whatever their order.

    >>> seed_of(["b", "a"]) == seed_of(["a", "b"]) != seed_of(["a"])
    True
    """
    text = "\n".join(sorted(digests)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


def draw_movers(
    *,
    seed: int,
    count: int,
    centre_deg: tuple[float, float],
    size_deg: tuple[float, float],
    rate_arcsec_h: tuple[float, float],
    mag: tuple[float, float],
) -> pd.DataFrame:
    """Draw movers that are spread over a field at the middle of its sequence.

    Parameters
    ----------
    seed : int
        From `seed_of`.
    count : int
    centre_deg, size_deg : (float, float)
        RA and Dec of the field; its extent along both, cos(Dec) applied.
    rate_arcsec_h, mag : (float, float)
        Ranges: rates are log-uniform, magnitudes, directions and places uniform.

    Returns
    -------
    DataFrame
        n rows as `ssosd.analysis.painter.movers.ephemeris` takes them: id, ra, dec (deg, at the middle), rate
        ("/h), pa (deg), mag; uniform on a great circle, of constant brightness.
    """
    rng = np.random.default_rng(seed)
    half_width, half_height = (side * ARCSEC_PER_DEG / 2.0 for side in size_deg)
    ra, dec = from_offsets(
        rng.uniform(-half_width, half_width, count),
        rng.uniform(-half_height, half_height, count),
        *centre_deg,
    )
    low, high = np.log(rate_arcsec_h)
    return pd.DataFrame(
        {
            "id": [f"I{n:04d}" for n in range(1, count + 1)],
            "ra": ra,
            "dec": dec,
            "rate": np.exp(rng.uniform(low, high, count)),
            "pa": rng.uniform(0.0, 360.0, count),
            "mag": rng.uniform(*mag, count),
            **dict.fromkeys(("acc_east", "acc_north", "amplitude", "phase"), 0.0),
            "period": 1.0,
        }
    )
