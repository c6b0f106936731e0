"""What a sequence's exposures hold, kept beside its results: all that judging the known objects needs.

With it the known objects can be compared again, when a source of knowledge answers late or says something
new, without linking the sequence again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.errors import BadInput, Retriable
from ssosd.plumbing.files import write_staged

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]

#: Who links, in the order of `Evidence.sources`.
LINKERS = ("SCAMP", "TRACKLET")
#: Name of the file in a field's folder ``cats``.
FILE_NAME = "evidence.npz"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evidence:
    """Detections, shape (n,), reference stars, (s,), and chips, (c,), of a linked sequence."""

    exposure: IntArray  # CATALOG_NUMBER of each detection
    sources: IntArray  # (n, 2): SOURCE_NUMBER that SCAMP and the tracklet linker gave it; -1 for none
    ra: FloatArray  # deg ICRS, by the solved astrometry
    dec: FloatArray
    mag: NDArray[np.float32]  # instrumental
    star_ra: FloatArray  # reference stars, deg ICRS
    star_dec: FloatArray
    chip_exposure: IntArray  # CATALOG_NUMBER of each chip
    corners: FloatArray  # (c, 4, 2): RA and Dec of its corners, going round

    @classmethod
    def of(
        cls,
        *,
        detections: pd.DataFrame,
        sources: pd.DataFrame,
        stars: pd.DataFrame,
        chips: Sequence[tuple[int, FloatArray]],
    ) -> Evidence:
        """Take what is needed of the detections table and of the reference stars.

        Parameters
        ----------
        detections : DataFrame
            CATALOG_NUMBER, EXTENSION, NUMBER, RA, DEC, MAG.
        sources : DataFrame
            CATALOG_NUMBER, EXTENSION, NUMBER, SOURCE_NUMBER, LINKED_BY, one row per detection and source.
        stars : DataFrame
            RA, DEC.
        chips : sequence of (int, ndarray of shape (4, 2))
            CATALOG_NUMBER and corners.
        """
        return cls(
            exposure=_column(detections, "CATALOG_NUMBER").astype(np.int32),
            sources=_sources(detections, sources),
            ra=_column(detections, "RA"),
            dec=_column(detections, "DEC"),
            mag=_column(detections, "MAG").astype(np.float32),
            star_ra=_column(stars, "RA"),
            star_dec=_column(stars, "DEC"),
            chip_exposure=np.array([number for number, _ in chips], dtype=np.int32),
            corners=np.array([corners for _, corners in chips], dtype=np.float64).reshape(-1, 4, 2),
        )

    def save(self, path: Path) -> None:
        """Write the arrays into a folder that nobody reads yet; the same arrays give the same bytes.

        Raises
        ------
        Retriable, Misconfigured
            The file cannot be written.
        """
        file = BytesIO()
        np.savez(file, **{f.name: getattr(self, f.name) for f in fields(self)})
        write_staged(path, file.getvalue())

    @classmethod
    def load(cls, path: Path) -> Evidence:
        """Read what `save` wrote.

        Raises
        ------
        BadInput
            It is not there, or damaged: the sequence is to be linked again.
        """
        try:
            with np.load(path, allow_pickle=False) as kept:
                return cls(**{f.name: kept[f.name] for f in fields(cls)})
        except MemoryError as error:
            raise Retriable(f"{path}: out of memory") from error
        except (OSError, EOFError, ValueError, KeyError) as error:
            raise BadInput(f"{path}: cannot be read: {error}") from error


def _sources(detections: pd.DataFrame, sources: pd.DataFrame) -> IntArray:
    own = _keys(detections)
    found = np.full((own.size, len(LINKERS)), -1, dtype=np.int32)
    for column, linker in enumerate(LINKERS):
        linked = sources[sources["LINKED_BY"] == linker]
        keys = _keys(linked)
        order = np.argsort(keys)
        at = np.searchsorted(keys, own, sorter=order)
        there = at < keys.size
        there[there] = keys[order[at[there]]] == own[there]
        number = _column(linked, "SOURCE_NUMBER").astype(np.int32)
        found[there, column] = number[order[at[there]]]
    return found


def _keys(detections: pd.DataFrame) -> NDArray[np.int64]:
    """What tells detections apart: exposure, extension and number in one."""
    exposure, extension, number = (
        _column(detections, c).astype(np.int64) for c in ("CATALOG_NUMBER", "EXTENSION", "NUMBER")
    )
    return (exposure << 48) | (extension << 32) | number


def _column(table: pd.DataFrame, name: str) -> FloatArray:
    return np.array(table[name].to_numpy() if len(table) else [], dtype=np.float64)
