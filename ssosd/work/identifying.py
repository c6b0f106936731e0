"""Known objects of a sequence's exposures, from whichever source of knowledge answers."""

from __future__ import annotations

from collections.abc import Sequence

from ssosd.errors import ServiceUnavailable
from ssosd.identify.known import KnownObjects, unchecked
from ssosd.identify.skybot import known_objects_for_exposures
from ssosd.model import Exposure
from ssosd.station import Station


def known_objects(exposures: Sequence[Exposure], station: Station, *, ask: bool) -> KnownObjects:
    """Known objects of the exposures, and why any of these are unchecked."""
    config = station.config
    numbers = range(1, len(exposures) + 1)
    if not config["CROSSMATCH_SKYBOT"]:
        return unchecked(dict.fromkeys(numbers, "CROSSMATCH_SKYBOT is False"))
    if not ask:
        return unchecked(dict.fromkeys(numbers, "SkyBoT did not answer for earlier fields"))
    try:
        return known_objects_for_exposures(
            exposures=exposures,
            url=config["SKYBOT_URL"],
            observer=config["OBSERVATORY_CODE"],
            fov_dimensions_deg=config["FOV_DIMENSIONS"],
            time_limit_s=config["SKYBOT_TIME_LIMIT"],
        )
    except ServiceUnavailable as error:
        return unchecked(dict.fromkeys(numbers, error.message))
