"""An exposure's catalogue and .ahead where SCAMP reads them: in the folder of the sequence."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ssosd.model import Catalogue, Exposure


def place_catalogues(
    exposures: Sequence[Exposure], catalogues: Mapping[str, Catalogue], cats: Path
) -> list[Path]:
    """Put the exposures' catalogues and .ahead files into `cats`, named after the exposures."""
    stems = Counter(e.stem for e in exposures)
    placed = []
    for exposure in exposures:
        unique = exposure.stem if stems[exposure.stem] == 1 else f"{exposure.stem}-{exposure.digest[:8]}"
        source = Path(catalogues[exposure.digest].path)
        for suffix in (".cat", ".ahead"):
            _link_or_copy(source.with_suffix(suffix), cats / f"{unique}{suffix}")
        placed.append(cats / f"{unique}.cat")
    return placed


def _link_or_copy(source: Path, destination: Path) -> None:
    try:
        os.link(source, destination)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, destination)
