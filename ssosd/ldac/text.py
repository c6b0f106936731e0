"""Headers from text: cards of 80 characters, or lines as SCAMP writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from astropy.io import fits
from astropy.io.fits.verify import VerifyError

_CARD = 80
_DROPPED = frozenset({"HISTORY", "COMMENT", ""})
#: Cards with one number, truth value or text, which need not be parsed to be known as valid.
_PLAIN = re.compile(r"[A-Z0-9_-]{1,8} *= +([+-]?\d+(\.\d*)?(E[+-]?\d+)?|[TF]|'[^']*') *(/.*)?")


def header_from_text(data: bytes | str) -> fits.Header:
    r"""Header of the first block of header text, in cards of 80 characters or in lines.

    HISTORY, COMMENT and blank cards, cards with non-ASCII or control characters (SCAMP signs its ``.head``
    files with "Université") and cards that are no valid FITS are left out; reading stops at END.

    Examples
    --------
    >>> header_from_text("EXPTIME =  30.0 / [s]\nCOMMENT Université\nEND\nEXPTIME = 60.0\n")["EXPTIME"]
    30.0
    """
    return next(iter(headers_from_text(data)), fits.Header())


def headers_from_text(data: bytes | str) -> list[fits.Header]:
    """Headers of a text with several blocks, each closed by END (the last END may be missing).

    Parameters
    ----------
    data : bytes or str
        Contents of a ``.head`` or ``.ahead`` file, or of an ``LDAC_IMHEAD`` row.

    Returns
    -------
    list of Header
        One per block, in order, as `header_from_text` reads them.
    """
    raw = data.encode("utf-8") if isinstance(data, str) else data
    lines: Iterable[bytes]
    lines = raw.splitlines() if b"\n" in raw else (raw[i : i + _CARD] for i in range(0, len(raw), _CARD))
    headers: list[fits.Header] = []
    current: list[fits.Card] = []
    unclosed = False
    for line in lines:
        text = line.rstrip(b" \0")
        if text == b"END":
            headers.append(fits.Header(current))
            current, unclosed = [], False
            continue
        unclosed = unclosed or bool(text)
        card = _card(text)
        if card is not None:
            current.append(card)
    if unclosed:
        headers.append(fits.Header(current))
    return headers


def _card(line: bytes) -> fits.Card | None:
    """One card, or None where it is to be left out."""
    if line[:8].rstrip().decode("latin-1").upper() in _DROPPED or len(line) > _CARD:
        return None
    try:
        text = line.decode("ascii")
    except UnicodeDecodeError:
        return None
    if not text.isprintable():
        return None
    card = fits.Card.fromstring(text)
    if text[8:9] == "=" and _PLAIN.fullmatch(text):
        return card
    try:
        _ = card.value
    except (VerifyError, ValueError):
        return None
    return card
