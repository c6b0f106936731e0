"""Tell calibration frames from science exposures by their headers and names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ssosd.ingest.fitsblocks import FitsLayout
from ssosd.ingest.headers import HeaderStack
from ssosd.model import fits_stem

_KIND_KEYWORDS = ("IMAGETYP", "OBSTYPE", "IMTYPE", "FRAME", "HIERARCH ESO DPR CATG")
_SCIENCE = frozenset({"light", "object", "science", "target", "sky", "expose"})


def calibration_reason(layout: FitsLayout, *, name: str, words: Sequence[str]) -> str:
    """Why a file is a calibration frame, or "" when it is not.

    The header's own word for the kind of frame (IMAGETYP, OBSTYPE, ...) counts most: it may contain one of
    the words ("Flat Field", "DOMEFLAT"), and one that says science settles the matter. Otherwise OBJECT or
    the file's name must have one of the words as a word of its own, so that a target called Flatau is safe.

    Parameters
    ----------
    layout : FitsLayout
        The file's headers.
    name : str
        The file's name.
    words : sequence of str
        The configured words.
    """
    if not words:
        return ""
    stack = HeaderStack([(hdu.index, hdu.cards) for hdu in layout.hdus])
    for keyword in _KIND_KEYWORDS:
        kind = stack.text(keyword).casefold()
        if not kind:
            continue
        for word in words:
            if word.casefold() in kind:
                return f"calibration frame: {keyword} is {stack.text(keyword)!r}"
        if any(science in kind for science in _SCIENCE):
            return ""
    for label, text in (("OBJECT", stack.text("OBJECT")), ("its name", fits_stem(name))):
        found = set(re.findall(r"[a-z]+", text.casefold()))
        for word in words:
            if word.casefold() in found:
                return f"calibration frame: {label} has the word {word!r}"
    return ""
