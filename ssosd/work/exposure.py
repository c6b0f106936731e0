"""The work on one exposure: from the image to its catalogue, and to its place on the sky."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ssosd.errors import SsosdError
from ssosd.ingest.prepare import Prepared, prepare_image
from ssosd.ingest.sextractor import catalogue_key, extract
from ssosd.ingest.weights import weight_files
from ssosd.model import Catalogue, Exposure
from ssosd.station import Station
from ssosd.work.failure import failure
from ssosd.work.solving import solve_ahead


def key_of(exposure: Exposure, *, station: Station) -> str:
    """Digest of all that an exposure's catalogue depends on."""
    config = station.config
    return catalogue_key(
        exposure=exposure,
        config=config["SEX_CONFIG"],
        params=config["SEX_PARAMS"],
        conv=config["SEX_FILTER"],
        nnw=config["SEX_NNW"],
        weights=weight_files(exposure, folder=config["WEIGHT_IMAGES"]),
        version=station.binaries["sextractor"].version,
    )


def extract_exposure(exposure: Exposure, *, night: str, key: str, station: Station) -> Catalogue | SsosdError:
    """Run SExtractor on one exposure and solve its astrometry, so that its sequence finds both done.

    The catalogue and its .ahead appear whole or not at all. An exposure that cannot be solved by itself is
    none the less extracted: what is the matter is found, and told, when its sequence is linked.
    """
    try:
        catalogue = _extract(exposure, night=night, key=key, station=station)
    except SsosdError as error:
        return error
    except OSError as error:
        return failure(error, station=station)
    solve_ahead(exposure, catalogue, station=station)
    return catalogue


def _extract(exposure: Exposure, *, night: str, key: str, station: Station) -> Catalogue:
    config = station.config
    with tempfile.TemporaryDirectory(dir=station.scratch, prefix="extract-") as scratch:
        prepared = prepare_image(
            exposure,
            directory=Path(scratch),
            weights=config["WEIGHT_IMAGES"],
        )
        output = station.catalogue_path(night, exposure.stem, key)
        return extract_prepared(exposure, prepared, output=output, key=key, station=station)


def extract_prepared(
    exposure: Exposure, prepared: Prepared, *, output: Path, key: str, station: Station
) -> Catalogue:
    """Run SExtractor on what an exposure was prepared to, as the parameters say; raises as `extract` does."""
    config = station.config
    return extract(
        exposure=exposure,
        prepared=prepared,
        binary=station.binaries["sextractor"],
        config=config["SEX_CONFIG"],
        params=config["SEX_PARAMS"],
        conv=config["SEX_FILTER"],
        nnw=config["SEX_NNW"],
        output=output,
        scratch=station.scratch,
        time_limit_s=config["SEX_TIME_LIMIT"],
        key=key,
    )
