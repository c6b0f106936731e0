"""What SExtractor says: its warnings, and its refusals classed by who can do something about them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from ssosd.astromatic import Finished, log_tail
from ssosd.errors import BadInput, Misconfigured, Retriable, SsosdError

_NO_ROOM = re.compile(r"while writing|open for writing|not enough memory|could not allocate", re.IGNORECASE)
_WRONG_SETUP = re.compile(
    r"keyword|value must be|thresholds!|not a suitable filter|NOT a NNW|no key to print"
    r"|cannot open \S+\.(?:conv|nnw|sex|param)\b"
)


def warnings(finished: Finished) -> list[str]:
    """Warnings of a run, once each with their number; overflows say what to raise.

    Examples
    --------
    >>> warnings(Finished(stdout="> WARNING: Pixel stack overflow at position 10,67", stderr=""))[0][:50]
    'WARNING: Pixel stack overflow at position; detecti'
    """
    lines = log_tail(f"{finished.stdout}\n{finished.stderr}", 10_000).splitlines()
    warned = [line[line.index("WARNING") :] for line in lines if "WARNING" in line]
    counts = Counter(re.sub(r"[\d,.\s]+$", "", line) for line in warned)
    said = []
    for text, count in counts.items():
        advice = ""
        if "pixel stack" in text.lower():
            advice = "; detections are lost: raise MEMORY_PIXSTACK in SEX_CONFIG"
        elif "stack" in text.lower():
            advice = "; raise MEMORY_OBJSTACK in SEX_CONFIG"
        said.append(text + (f" ({count} times)" if count > 1 else "") + advice)
    return said


def summary(finished: Finished, lines: int = 6) -> list[str]:
    r"""Background and number of detections of the last chips; nothing that differs from run to run.

    Examples
    --------
    >>> said = "(M+D) Background: 99.9   RMS: 4.9\n> Scanning\n   Objects: detected 20   / sextracted 18"
    >>> summary(Finished(stdout="", stderr=said))
    ['(M+D) Background: 99.9 RMS: 4.9', 'Objects: detected 20 / sextracted 18']
    """
    said = log_tail(f"{finished.stdout}\n{finished.stderr}", 10_000).splitlines()
    kept = [line for line in said if "Background: " in line or "Objects: detected" in line]
    return [" ".join(line.split()) for line in kept[-lines:]]


def refusal(error: BadInput, *, name: str, config: Path) -> SsosdError:
    """Class a non-zero exit by SExtractor's own last words.

    Returns
    -------
    SsosdError
        `Retriable` for a full disk or memory, `Misconfigured` for its set-up, `BadInput` for the image.
    """
    last = log_tail(error.message, 1)
    words = "SExtractor: " + re.split(r"\*Error\*:?\s*|> ", last)[-1]
    if _NO_ROOM.search(words):
        return Retriable(f"{name}: {words}", next_step="free disk space or memory")
    if _WRONG_SETUP.search(words):
        return Misconfigured(f"{config}: {words}", next_step="correct the SExtractor set-up")
    return BadInput(f"{name}: {words}")
