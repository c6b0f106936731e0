"""From a FITS file to an `Exposure`: every header of the file is read once, no pixel is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ssosd.days import DAY_S
from ssosd.headermap import HeaderMap, HeaderRule
from ssosd.ingest.cardtext import overlaid
from ssosd.ingest.chips import ScienceChip, read_chips, select
from ssosd.ingest.fitsblocks import FitsLayout, Hdu, opened_raw, read_layout
from ssosd.ingest.headers import Cards, HeaderStack, number
from ssosd.ingest.mapped import MappedCards, mapped_cards, rule_for
from ssosd.ingest.observed import read_observed
from ssosd.ingest.times import format_stamp
from ssosd.ingest.tpv import TOLERANCE_PX
from ssosd.model import Chip, Exposure, HeaderKeywords
from ssosd.sphere import ARCSEC_PER_DEG, mean_position, offsets_arcsec, to_radec, unit_vectors

_DIGEST_BYTES = 16  # BLAKE2b-128


def read_exposure(
    path: Path,
    *,
    keywords: HeaderKeywords,
    extensions: tuple[int, ...] | None,
    header_map: HeaderMap | None = None,
    saturation_key: str = "SATURATE",
    identity: Callable[[Path], str] | None = None,
) -> Exposure:
    """Read one exposure.

    Parameters
    ----------
    path : Path
        ``.fits``, ``.fit`` or ``.fts``, plain, ``.gz``, ``.bz2`` or ``.fz``; only read, never written to.
    keywords : HeaderKeywords
        As configured; well-known stand-ins are used, with a warning, where one is absent.
    extensions : tuple of int, optional
        HDU indices of the science images as in SExtractor's ``file.fits[n]`` (1 also means the primary when
        that is the only image); None for all science images.
    header_map : HeaderMap, optional
        What the headers of some instruments mean, where they mean something else than the keywords say.
    saturation_key : str
        SExtractor's SATUR_KEY; a card of it that holds no level is taken away.
    identity : callable, optional
        Gives the exposure's digest; by default `file_digest`, which reads the whole file.

    Returns
    -------
    Exposure
        Times UTC, positions ICRS degrees. Its warnings say all that was repaired, converted, skipped or
        guessed.

    Raises
    ------
    BadInput
        Not FITS, empty, truncated, no science image, no time, no exposure time, no usable WCS; the message
        names file and keyword.
    Retriable
        The disk or network fails.
    """
    layout = read_layout(path)
    rule = None if header_map is None else rule_for(layout, header_map)
    if rule is not None and extensions is None:
        extensions = rule.hdu
    hdus, select_notes = select(layout, extensions=extensions, name=path.name)
    stack = _stack(layout, hdus[0].index)
    observed = read_observed(stack, keywords=keywords, rule=rule, name=path.name)
    start, exptime_s = observed.start, observed.exptime_s
    cards, card_notes = _changes(path, layout, hdus, rule, mjd=start.mjd, saturation_key=saturation_key)
    hdus = tuple(replace(hdu, cards=overlaid(hdu.cards, cards[hdu.index])) for hdu in hdus)
    chips, chip_notes = read_chips(path, layout, hdus, skip_bad=extensions is None)
    described = tuple(_chip(chip, cards[chip.hdu.index]) for chip in chips)
    ra, dec, width, height = footprint([corner for chip in described for corner in chip.corners_deg])
    notes = (
        *layout.warnings,
        *select_notes,
        *chip_notes,
        *card_notes,
        *observed.notes,
        *_wcs_notes(chips),
    )
    return Exposure(
        path=str(path.absolute()),
        digest=(identity or file_digest)(path),
        date_obs=format_stamp(start),
        mjd_start=start.mjd,
        mjd_mid=start.mjd + exptime_s / 2.0 / DAY_S,
        exptime_s=exptime_s,
        filter=observed.filter,
        object=observed.object,
        telescope=stack.text("TELESCOP"),
        instrument=stack.text("INSTRUME"),
        ra_deg=ra,
        dec_deg=dec,
        width_deg=width,
        height_deg=height,
        chips=described,
        n_hdus=len(layout.hdus),
        warnings=tuple(dict.fromkeys(notes)),
    )


def file_digest(path: Path) -> str:
    """BLAKE2b-128 of a file's bytes as they are on disk, hex, read in pieces.

    Raises
    ------
    BadInput
        It cannot be opened.
    Retriable
        The disk or network fails.
    """
    with opened_raw(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_DIGEST_BYTES)).hexdigest()


def footprint(corners_deg: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    """Centre and extent of a set of sky positions, safe across RA 0 and at the poles.

    Measured on the tangent plane: the box around all positions, along RA and Dec at its centre.

    Parameters
    ----------
    corners_deg : sequence of (float, float)
        Right ascension and declination, ICRS degrees.

    Returns
    -------
    ra_deg, dec_deg, width_deg, height_deg : float
        Width with cos(Dec) applied.

    Examples
    --------
    >>> [round(v, 4) for v in footprint([(359.9, -0.1), (0.1, -0.1), (359.9, 0.1), (0.1, 0.1)])]
    [0.0, 0.0, 0.2, 0.2]
    """
    ra, dec = (np.array(column, dtype=np.float64) for column in zip(*corners_deg, strict=True))
    ra0, dec0 = mean_position(ra, dec)
    for _ in range(2):  # from the mean to the middle of the box
        xi, eta = (v / ARCSEC_PER_DEG for v in offsets_arcsec(ra, dec, ra0, dec0))
        ra0, dec0 = _from_plane((xi.min() + xi.max()) / 2.0, (eta.min() + eta.max()) / 2.0, ra0, dec0)
    xi, eta = (v / ARCSEC_PER_DEG for v in offsets_arcsec(ra, dec, ra0, dec0))
    return ra0 % 360.0, dec0, float(np.ptp(xi)), float(np.ptp(eta))


def _from_plane(xi_deg: float, eta_deg: float, ra0_deg: float, dec0_deg: float) -> tuple[float, float]:
    """Sky position of standard coordinates (the inverse of `ssosd.sphere.offsets_arcsec`)."""
    ra0, dec0 = np.radians(ra0_deg), np.radians(dec0_deg)
    centre = unit_vectors(ra0_deg, dec0_deg)
    east = np.array([-np.sin(ra0), np.cos(ra0), 0.0])
    north = np.array([-np.sin(dec0) * np.cos(ra0), -np.sin(dec0) * np.sin(ra0), np.cos(dec0)])
    ra, dec = to_radec(centre + np.radians(xi_deg) * east + np.radians(eta_deg) * north)
    return float(ra), float(dec)


def _stack(layout: FitsLayout, science: int) -> HeaderStack:
    order = sorted(layout.hdus, key=lambda hdu: (hdu.index != science, hdu.index))
    return HeaderStack([(hdu.index, hdu.cards) for hdu in order])


def _changes(
    path: Path,
    layout: FitsLayout,
    hdus: Sequence[Hdu],
    rule: HeaderRule | None,
    *,
    mjd: float,
    saturation_key: str,
) -> tuple[dict[int, MappedCards], list[str]]:
    """Cards to be put over those of each science HDU, by its index, and what to say of them."""
    cards: dict[int, MappedCards] = {}
    notes: list[str] = []
    for hdu in hdus:
        mapped: MappedCards = ()
        if rule is not None:
            mapped, said = mapped_cards(layout, hdu, rule, mjd=mjd, label=f"{path.name}[{hdu.index}]")
            notes += said
        own = overlaid(hdu.cards, mapped)
        found = _no_level(own if saturation_key in own else layout.hdus[0].cards, saturation_key)
        if found is not None:
            mapped = (*mapped, (saturation_key, None))
            notes.append(
                f"{saturation_key}={found} is no saturation level and was ignored: SATUR_LEVEL counts"
            )
        cards[hdu.index] = mapped
    return cards, notes


def _no_level(cards: Cards, keyword: str) -> str | None:
    """What a card says that holds no saturation level: SExtractor would read 0 and call all saturated."""
    text = cards.text(keyword)
    level = number(text.partition(" ")[0])
    usable = level is not None and 0.0 < level < math.inf
    return None if usable or keyword not in cards else text


def _chip(chip: ScienceChip, cards: MappedCards) -> Chip:
    ra, dec = chip.sky.icrs(*Chip.outline_px(chip.width, chip.height))
    corners = tuple((float(a), float(d)) for a, d in zip(ra[1:], dec[1:], strict=True))
    return Chip(
        hdu=chip.hdu.index,
        width_px=chip.width,
        height_px=chip.height,
        ra_deg=float(ra[0]) % 360.0,
        dec_deg=float(dec[0]),
        corners_deg=corners,
        scale_arcsec=chip.scale_arcsec,
        cards=cards,
    )


def _wcs_notes(chips: Sequence[ScienceChip]) -> list[str]:
    """What was done to the chips' WCS, once per kind with the worst residual."""
    notes = [note for chip in chips for note in chip.sky.notes]
    if not all(chip.own_wcs for chip in chips):
        notes.append("the WCS is in the primary header only")
    worst: dict[str, float] = {}
    for chip in chips:
        kind = chip.scamp.conversion
        if kind:
            worst[kind] = max(worst.get(kind, 0.0), chip.scamp.residual_px)
    for kind, residual in worst.items():
        over = f", more than the {TOLERANCE_PX} px aimed at" if residual >= TOLERANCE_PX else ""
        notes.append(f"{kind}, largest residual {residual:.2g} px{over}")
    return notes
