"""The one table of parameters, put together, and what may not be said with each value allowed by itself.

To add a parameter, add one `Parameter` to one of the lists in ``ssosd/config/tables/`` and run
``python -m ssosd.config``: checks, flags, default.ssos and docs/parameters.md follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ssosd.config.parameter import Parameter
from ssosd.config.tables import (
    chain,
    daemon,
    drafts,
    images,
    inject,
    known,
    mail,
    photometry,
    recovery,
    results,
)

#: Every parameter by name, in the order of the documentation; parameters of one section stand together.
PARAMETERS: dict[str, Parameter] = {
    entry.name: entry
    for entry in (
        *images.ENTRIES,
        *chain.ENTRIES,
        *photometry.ENTRIES,
        *recovery.ENTRIES,
        *inject.ENTRIES,
        *known.ENTRIES,
        *results.ENTRIES,
        *daemon.ENTRIES,
        *mail.ENTRIES,
        *drafts.ENTRIES,
    )
}

#: Names of older seed files that are read and have no effect, with the reason.
WITHOUT_EFFECT: dict[str, str] = {
    "RA": "has no effect: the centre of the image comes from its WCS",
    "DEC": "has no effect: the centre of the image comes from its WCS",
}

#: Names of the earliest seed files, with what to write instead; the nearest known name would mislead.
REPLACED: dict[str, str] = {
    "FILTER_STAR_REGIONS": "FILTER_BRIGHT_SOURCES",
    "HYGCAT": "BRIGHT_SOURCES_CAT",
}


def sections() -> dict[str, list[Parameter]]:
    """The parameters under their headings."""
    found: dict[str, list[Parameter]] = {}
    for parameter in PARAMETERS.values():
        found.setdefault(parameter.section, []).append(parameter)
    return found


def contradictions(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Pairs (parameter, what is wrong) of values that are each allowed but not together."""
    low, high = values["PM_LOW"], values["PM_UP"]
    one_rate = values["LINKER"] == "SCAMP"  # the filter takes a single rate, the tracklet linker seeks none
    if low > high or (low == high and not one_rate):
        yield (
            "PM_LOW",
            f"found {low:g}, allowed is {'at most' if one_rate else 'below'} PM_UP, which is {high:g}",
        )
    for pair in values["FILTER_BANDS"]:
        if len(pair.rpartition("=")[2]) != 1 or not pair.rpartition("=")[0]:
            yield (
                "FILTER_BANDS",
                f"found {pair!r}, allowed is FILTER=BAND with a letter of the MPC's for BAND",
            )
    site = ("SITE_LON", "SITE_LAT", "SITE_ALT")
    missing = [name for name in site if values[name] is None]
    if 0 < len(missing) < len(site):
        given = next(name for name in site if name not in missing)
        for name in missing:
            yield name, f"found CODE, allowed is a number as {given} is given: all three or none"
