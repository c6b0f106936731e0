"""Header cards as text: the chips' headers for SExtractor, and their heads for SCAMP's ``.ahead``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ssosd.ingest.fitsblocks import BLOCK
from ssosd.ingest.headers import CARD_LENGTH, Cards, Value, parse_card

Card = tuple[str, str | bool | float | int]

_STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|EXTEND|GROUPS|NEXTEND|INHERIT|CHECKSUM|DATASUM|END"
)
_TABLE = re.compile(
    r"TFIELDS|THEAP|T(?:TYPE|FORM|UNIT|DIM|NULL|SCAL|ZERO|DISP)\d+"
    r"|Z(?:IMAGE|SIMPLE|TENSION|BITPIX|NAXIS\d*|TILE\d+|CMPTYPE|NAME\d+|VAL\d+|MASKCMP|EXTEND|BLOCKED|PCOUNT|GCOUNT"
    r"|HECKSUM|DATASUM|QUANTIZ|DITHER0|SCALE|ZERO|BLANK)"
)
_WCS = re.compile(
    r"(?:CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA|CRDER|CSYER)\d|(?:CD|PC|PV|PS)\d_\d+|PC00\d00\d|PROJP\d+|LONG?POLE|LATPOLE"
    r"|RADE(?:C)?SYS|EQUINOX|EPOCH|WCSAXES|WCSDIM|WAT\d_\d+|[AB]P?_(?:\d_\d|ORDER|DMAX)"
    r"|CPDIS\d|CPERR\d|D[PQ]\d.*|D2IM.*"
)
_SCALING = re.compile(r"BSCALE|BZERO|BLANK")
_COMMENTARY = {"COMMENT", "HISTORY", ""}


def format_card(keyword: str, value: str | bool | float | int) -> str:
    """One card of 80 characters; floats keep all their digits.

    >>> format_card("CD1_1", -5.190534614177e-05)
    'CD1_1   =  -5.190534614177E-05                                                  '
    """
    if isinstance(value, bool):
        text = f"{'T' if value else 'F':>20}"
    elif isinstance(value, str):
        clean = "".join(c if " " <= c <= "~" else "?" for c in value).replace("'", "''")[:68]
        text = f"'{clean:<8}'"
    elif isinstance(value, int):
        text = f"{value:>20}"
    else:
        digits = repr(float(value)).upper()
        if "." not in digits:
            digits = digits.replace("E", ".0E") if "E" in digits else digits + ".0"
        text = f"{digits:>20}"
    return f"{keyword:<8}= {text}".ljust(CARD_LENGTH)


def head_text(cards: Iterable[Card]) -> str:
    """Join cards as SCAMP reads them from ``.ahead``: one per line, an END line last."""
    return "\n".join([*(format_card(keyword, value) for keyword, value in cards), "END".ljust(CARD_LENGTH)])


def header_block(cards: Iterable[str]) -> bytes:
    """Cards of 80 characters as a header block with END, padded to 2880 bytes."""
    text = "".join(cards) + "END".ljust(CARD_LENGTH)
    return text.ljust(-(-len(text) // BLOCK) * BLOCK).encode("ascii")


def structure(*, primary: bool, bitpix: int, axes: Sequence[int], extensions: bool = False) -> list[str]:
    """Mandatory cards of a primary header or an image extension (FITS Standard 4.0, section 4.4.1)."""
    first: Card = ("SIMPLE", True) if primary else ("XTENSION", "IMAGE")
    cards: list[Card] = [first, ("BITPIX", bitpix), ("NAXIS", len(axes))]
    cards += [(f"NAXIS{n}", length) for n, length in enumerate(axes, start=1)]
    if not primary:
        cards += [("PCOUNT", 0), ("GCOUNT", 1)]
    elif extensions:
        cards.append(("EXTEND", True))
    return [format_card(keyword, value) for keyword, value in cards]


def kept_cards(own: Cards, primary: Cards | None, *, compressed: bool) -> list[str]:
    """Cards of a chip that go on: its own and those of the primary that it lacks, without structure and WCS.

    Parameters
    ----------
    own : Cards
        Of the chip.
    primary : Cards, optional
        Of the primary HDU when that is another one.
    compressed : bool
        Whether the chip's header is that of a tile-compressed table.
    """
    kept = _without(own, drop_table=compressed, present=None)
    if primary is not None:
        kept += _without(primary, drop_table=False, present=own)
    return kept


def is_wcs(keyword: str) -> bool:
    """Whether a keyword belongs to the world coordinates of an image."""
    return _WCS.fullmatch(keyword) is not None


def overlaid(cards: Cards, changes: Sequence[tuple[str, Value]]) -> Cards:
    """Return a header with some cards replaced, added, or (value None) taken away."""
    changed = dict(changes)
    if not changed:
        return cards
    kept = [raw for raw in cards.raw if (parse_card(raw) or ("",))[0] not in changed]
    new = [format_card(keyword, value) for keyword, value in changed.items() if value is not None]
    return Cards(header_block([*kept, *new]))


def _without(cards: Cards, *, drop_table: bool, present: Cards | None) -> list[str]:
    kept, dropped = [], False
    for raw in cards.raw:
        parsed = parse_card(raw)
        keyword = raw[:8].strip() if parsed is None else parsed[0]
        if keyword == "CONTINUE":
            if not dropped:
                kept.append(raw)
            continue
        dropped = bool(_STRUCTURE.fullmatch(keyword) or _WCS.fullmatch(keyword))
        dropped = dropped or (drop_table and (bool(_TABLE.fullmatch(keyword)) or "COMPRESSED_IMAGE" in raw))
        if present is not None:  # inherited: no comments, nothing that describes the primary's own data
            own = (
                keyword in _COMMENTARY
                or keyword in {"EXTNAME", "EXTVER"}
                or bool(_SCALING.fullmatch(keyword))
            )
            dropped = dropped or parsed is None or own or keyword in present
        if not dropped:
            kept.append(raw)
    return kept
