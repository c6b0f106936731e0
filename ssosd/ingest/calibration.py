"""Tell calibration frames from science exposures by their headers and names."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

from ssosd.ingest.fitsblocks import FitsLayout
from ssosd.ingest.headers import HeaderStack
from ssosd.model import fits_stem

_KIND_KEYWORDS = (
    *("IMAGETYP", "OBSTYPE", "OBS_TYPE", "IMTYPE", "IMGTYPE", "FRAMETYP", "FRAME", "EXPTYPE"),
    *("ESO DPR CATG", "ESO DPR TYPE", "INTENT", "DATATYPE"),
)
_SCIENCE = frozenset({"light", "object", "science", "target", "sky", "expose"})
_SHORT = 4  # words below this length ("arc") must stand alone, they are parts of too many others
#: What else OBJECT may say of a calibration frame: "processed flat", "dark 1 sec", "dome flat V band".
_SAID_WITH_IT = frozenset(
    {
        *("master", "super", "processed", "combined", "raw", "mean", "median", "average", "stack", "test"),
        *("dome", "sky", "twilight", "dusk", "dawn", "evening", "morning", "night", "heat", "quartz", "off"),
        *(
            "frame",
            "frames",
            "field",
            "image",
            "exposure",
            "screen",
            "current",
            "level",
            "lamp",
            "lamps",
            "on",
        ),
        *("filter", "band", "sec", "secs", "second", "seconds", "bin", "gcal", "run", "sequence", "star"),
    }
)


def calibration_reason(layout: FitsLayout, *, name: str, words: Sequence[str]) -> str:
    """Why a file is a calibration frame, or "" when it is not.

    The header's own word for the kind of frame (IMAGETYP, OBSTYPE, ...) counts most: it may contain one of
    the words ("Flat Field", "DOMEFLAT") or be the beginning of one ("CALIB"), and one that says science
    settles the matter. Otherwise OBJECT may be one of the words, with nothing beside it but what is said of
    such frames, so that targets called Flatau or "dark nebula B33" are safe; or the file's name may have one
    of them as a word of its own, or match one that is a pattern.

    Parameters
    ----------
    layout : FitsLayout
        The file's headers.
    name : str
        The file's name.
    words : sequence of str
        The configured words; those with ``*``, ``?`` or ``[`` are patterns of file names.
    """
    patterns = [word for word in words if set("*?[") & set(word)]
    plain = [word.casefold() for word in words if word not in patterns]
    for pattern in patterns:
        if fnmatch.fnmatchcase(name.casefold(), pattern.casefold()):
            return f"calibration frame: its name matches {pattern!r}"
    if not plain:
        return ""
    stack = HeaderStack([(hdu.index, hdu.cards) for hdu in layout.hdus])
    for keyword in _KIND_KEYWORDS:
        kind = stack.text(keyword)
        if _is_kind(_tokens(kind), plain):
            return f"calibration frame: {keyword} is {kind!r}"
        if any(science in kind.casefold() for science in _SCIENCE):
            return ""
    target = stack.text("OBJECT")
    if _is_object(_tokens(target), plain):
        return f"calibration frame: OBJECT is {target!r}"
    for word in plain:
        if word in _tokens(fits_stem(name)):
            return f"calibration frame: its name has the word {word!r}"
    return ""


def _tokens(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.casefold())


def _is_kind(tokens: Sequence[str], words: Sequence[str]) -> bool:
    """Whether the header's word for a frame's kind contains one of the words or is short for one."""
    return any(
        token == word
        or (len(word) >= _SHORT and word in token)
        or (len(token) >= _SHORT and word.startswith(token))
        for token in tokens
        for word in words
    )


def _is_object(tokens: Sequence[str], words: Sequence[str]) -> bool:
    """Whether OBJECT names a calibration frame and nothing else; one letter may be a filter's."""

    def says(token: str) -> bool:
        singular = token.removesuffix("s")
        if token in words or singular in words:
            return True
        return any(len(word) >= _SHORT and singular.endswith(word) for word in words)

    others = [token for token in tokens if not says(token) and len(token) > 1]
    return any(says(token) for token in tokens) and all(token in _SAID_WITH_IT for token in others)
