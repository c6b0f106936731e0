"""An exposure's catalogue and .ahead where SCAMP reads them: in the folder of the sequence."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ssosd.model import Catalogue, Exposure
from ssosd.plumbing.files import shortened


def place_catalogues(
    exposures: Sequence[Exposure], catalogues: Mapping[str, Catalogue], cats: Path
) -> list[Path]:
    """Put the exposures' catalogues and .ahead files into `cats`, named after the exposures."""
    placed = []
    for exposure, unique in zip(exposures, unique_names(exposures), strict=True):
        source = Path(catalogues[exposure.digest].path)
        for suffix in (".cat", ".ahead"):
            _link_or_copy(source.with_suffix(suffix), cats / f"{unique}{suffix}")
        placed.append(cats / f"{unique}.cat")
    return placed


def unique_names(exposures: Sequence[Exposure]) -> list[str]:
    """Names of the exposures' files without suffix; equal and overlong ones have a piece of their digest."""
    short = [shortened(e.stem) for e in exposures]
    stems = Counter(short)
    return [
        name if stems[name] == 1 and name == e.stem else f"{name}-{e.digest[:8]}"
        for name, e in zip(short, exposures, strict=True)
    ]


def _link_or_copy(source: Path, destination: Path) -> None:
    try:
        os.link(source, destination)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, destination)
