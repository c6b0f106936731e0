"""How complete a sequence is: synthetic movers in copies of its exposures, sought by the same work.

Whatever is found in the copies ends here: what leaves this room is a table of counts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ssosd.analysis.inject.movers import draw_movers, seed_of
from ssosd.analysis.inject.score import completeness_table, no_counts
from ssosd.analysis.painter.movers import ephemeris
from ssosd.analysis.photometry.calibrate import Photometry
from ssosd.errors import BadInput, Retriable
from ssosd.filters.chain import ChainSettings
from ssosd.ingest.prepare import Prepared
from ssosd.linker.scamp.link import Linked
from ssosd.model import Catalogue, Exposure
from ssosd.plumbing.text import counted
from ssosd.station import Station
from ssosd.work.calibrating import photometry_of
from ssosd.work.confirming import measured
from ssosd.work.exposure import extract_prepared
from ssosd.work.failure import failure
from ssosd.work.linking import Progress, link_candidates
from ssosd.work.painting import painted_copy
from ssosd.work.recovering import Pixels, depth_of

_BRIGHTER, _FAINTER = 3.0, 1.0  # mag about the limit, for INJECT_MAG AUTO
_LEAST_RADIUS = 2.0  # arcsec between a mover and a detection of it
_SHORTEST_S = 1e-3  # exposure time of a bias-like frame: a rate needs some
_THREADS = 2  # exposures painted at a time; sequences are linked side by side already


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Completeness:
    """How many synthetic movers were found again."""

    counts: pd.DataFrame  # the table completeness; no rows when nothing was measured
    band: str  # of the magnitudes, "" when nothing was measured
    why_not: str  # why nothing was; "" when it was or was not asked for


def measure_completeness(
    exposures: Sequence[Exposure],
    catalogues: Mapping[str, Catalogue],
    *,
    station: Station,
    progress: Progress,
) -> Completeness:
    """Link exposures of a field in the station's scratch and measure their completeness.

    Parameters
    ----------
    exposures : sequence of Exposure
        In time order.
    catalogues : mapping
        By their digests.
    station : Station
    progress : callable
        Told what is being done.

    Raises
    ------
    BadInput, Retriable, Misconfigured
        They cannot be linked, or not now.
    """
    with tempfile.TemporaryDirectory(dir=station.scratch, prefix="link-") as room:
        left = link_candidates(
            exposures,
            catalogues,
            workdir=Path(room),
            station=station,
            progress=progress,
        )
    photometry = photometry_of(left.linked, station=station)
    pixels = Pixels.of(left, photometry, station=station)
    with pixels.chips:
        depth = depth_of(left, pixels)
    return completeness_of(
        left.linked, photometry, catalogues, depth=depth, station=station, progress=progress
    )


def completeness_of(
    linked: Linked,
    photometry: Photometry,
    catalogues: Mapping[str, Catalogue],
    *,
    depth: Mapping[int, float],
    station: Station,
    progress: Progress,
) -> Completeness:
    """Measure the completeness of a linked sequence with INJECT movers; failing at it costs nothing else.

    Parameters
    ----------
    linked : Linked
        The sequence as it is.
    photometry : Photometry
        Of its exposures.
    catalogues : mapping
        By the exposures' digests.
    depth : mapping
        From `ssosd.work.recovering.depth_of`.
    station : Station
    progress : callable
        Told what is being done.
    """
    if not station.config["INJECT"]:
        return _nothing("")
    progress("injecting")
    try:
        with tempfile.TemporaryDirectory(dir=station.scratch, prefix="inject-") as room:
            counts = _measure(
                linked,
                photometry,
                catalogues,
                depth=depth,
                room=Path(room),
                station=station,
                progress=progress,
            )
    except (BadInput, Retriable) as error:
        return _nothing(error.message)
    except OSError as error:
        return _nothing(failure(error, station=station).message)
    bands = photometry.exposures["BAND"]
    return Completeness(counts=counts, band=min(bands[bands != ""]), why_not="")


def _nothing(because: str) -> Completeness:
    return Completeness(counts=no_counts(), band="", why_not=because)


def _measure(
    linked: Linked,
    photometry: Photometry,
    catalogues: Mapping[str, Catalogue],
    *,
    depth: Mapping[int, float],
    room: Path,
    station: Station,
    progress: Progress,
) -> pd.DataFrame:
    config, exposures = station.config, linked.exposures
    fewest = ChainSettings.from_mapping(config).fewest_detections
    if len(photometry.calibrations) < fewest:
        have = counted(len(photometry.calibrations), "exposure", "have")
        raise BadInput(f"{have} calibrated magnitudes, {fewest} are needed")
    seed = seed_of(exposure.digest for exposure in exposures)
    middle_mjd = (exposures[0].mjd_mid + exposures[-1].mjd_mid) / 2.0
    movers = draw_movers(
        seed=seed,
        count=config["INJECT"],
        centre_deg=(exposures[0].ra_deg, exposures[0].dec_deg),
        size_deg=(exposures[0].width_deg, exposures[0].height_deg),
        rate_arcsec_h=config["INJECT_RATE"],
        mag=config["INJECT_MAG"] or _about_the_limit(photometry, depth),
    )
    cats = room / "cats"
    cats.mkdir()

    def inject(number: int) -> tuple[Prepared, Catalogue, pd.DataFrame]:
        exposure = exposures[number - 1]
        hours = (exposure.mjd_mid - middle_mjd) * 24.0
        seen = ephemeris(movers, hours=hours, exptime_s=max(exposure.exptime_s, _SHORTEST_S), colour_mag=0.0)
        folder = room / f"{number}"
        prepared, whole = painted_copy(
            number,
            seen,
            linked=linked,
            photometry=photometry,
            catalogue=catalogues[exposure.digest],
            folder=folder,
            seed=seed,
            station=station,
        )
        catalogue = extract_prepared(
            exposure, prepared, output=folder / "painted.cat", key="painted", station=station
        )
        truth = seen.assign(id=movers["id"], rate=movers["rate"], mjd_mid=exposure.mjd_mid, whole=whole)
        return prepared, catalogue, truth

    made = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for one in pool.map(inject, range(1, len(exposures) + 1)):
            made.append(one)
            progress(f"extracted {len(made)} of {len(exposures)} copies with movers")
    painted = {e.digest: catalogue for e, (_, catalogue, _) in zip(exposures, made, strict=True)}
    left = link_candidates(
        exposures,
        painted,
        workdir=cats,
        station=station,
        progress=progress,
    )
    again = photometry_of(left.linked, station=station)
    copies = {e.digest: copy for e, (copy, _, _) in zip(exposures, made, strict=True)}
    pixels = Pixels.of(left, again, station=station, copies=copies)
    with pixels.chips:
        found = measured(left, pixels, station=station).candidates
    table = completeness_table(
        found,
        pd.concat([truth for *_, truth in made], ignore_index=True),
        fewest=fewest,
        radius_arcsec=float(np.fmax(_LEAST_RADIUS, photometry.exposures["SEEING"].median())),
    )
    if table.empty:
        raise BadInput(f"no injected mover was whole on a chip in {fewest} calibrated exposures")
    return table


def _about_the_limit(photometry: Photometry, depth: Mapping[int, float]) -> tuple[float, float]:
    """Magnitudes about the one at which half of what is there is detected; one of 5 sigma will do for it."""
    five_sigma = photometry.exposures.set_index("CATALOG_NUMBER")["LIMIT_5SIGMA"]
    limit = float(pd.Series(depth, dtype=np.float64).reindex(five_sigma.index).fillna(five_sigma).median())
    if not np.isfinite(limit):
        raise BadInput("the exposures' limiting magnitude is not known", next_step="set INJECT_MAG")
    return limit - _BRIGHTER, limit + _FAINTER
