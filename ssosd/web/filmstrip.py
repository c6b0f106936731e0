"""A candidate's frames side by side in a text terminal: two pixels a letter, the candidate between ticks."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.color import Color
from rich.style import Style
from rich.text import Text

from ssosd.model import Blink

_SMALLEST = 24  # letters across a frame: fewer show nothing
_LOWEST = 12  # pixels of its height
_UPPER_HALF = "▀"
_TICK, _GAP = 4, 3  # of the marks, letters
_MARK = (255, 176, 0)

_Colours = NDArray[np.uint8]


def filmstrip(blink: Blink, *, width: int, height: int) -> list[Text]:
    """The frames in order of time, in as many rows of frames as the terminal needs.

    Parameters
    ----------
    blink : Blink
    width : int
        Letters across the terminal.
    height : int
        Lines for the frames: where they do not fit, they are cut above and below the candidate.

    Returns
    -------
    list of Text
        Lines of half blocks, an empty one between rows of frames. Every line is `width` letters or shorter.
    """
    sheet = Image.open(BytesIO(blink.sheet)).convert("L")
    n = len(blink.numbers)
    across = min(blink.side_px, max(_SMALLEST, (width + 1) // n - 1), width)
    a_row = max(1, (width + 1) // (across + 1))
    n_rows = -(-n // a_row)
    tall = min(across, max(_LOWEST, 2 * ((height + 1) // n_rows - 1)))
    frames = [
        _frame(sheet.crop((k * blink.side_px, 0, (k + 1) * blink.side_px, blink.side_px)), across, tall, mark)
        for k, mark in enumerate(blink.marks)
    ]
    lines: list[Text] = []
    for first in range(0, n, a_row):
        shown = frames[first : first + a_row]
        gap = np.zeros((tall, 1, 3), dtype=np.uint8)
        row = np.concatenate([part for frame in shown for part in (gap, frame)][1:], axis=1)
        lines += [*([Text()] if lines else []), *_half_blocks(row)]
    return lines


def _frame(picture: Image.Image, across: int, tall: int, mark: tuple[float, float]) -> _Colours:
    """A frame of `across` x `tall` pixels with ticks right of and above the candidate."""
    shade = np.asarray(picture.resize((across, across), Image.Resampling.BOX))
    colours = np.repeat(shade[..., None], 3, axis=2)
    x, y = (int(place * across / picture.width) for place in mark)
    colours[max(y, 0) : y + 1, max(x + _GAP, 0) : max(x + _GAP + _TICK, 0)] = _MARK
    colours[max(y - _GAP - _TICK, 0) : max(y - _GAP, 0), max(x, 0) : x + 1] = _MARK
    top = min(max(y - tall // 2, 0), across - tall)
    return colours[top : top + tall]


def _half_blocks(colours: _Colours) -> list[Text]:
    """Two rows of pixels a line."""
    if len(colours) % 2:
        colours = np.concatenate([colours, np.zeros_like(colours[:1])])
    lines = []
    for upper, lower in zip(colours[::2].tolist(), colours[1::2].tolist(), strict=True):
        line = Text(end="")
        for above, below in zip(upper, lower, strict=True):
            style = Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below))
            line.append(_UPPER_HALF, style)
        lines.append(line)
    return lines
