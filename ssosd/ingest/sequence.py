"""Group a night's exposures into sequences by pointing; the result does not depend on order of arrival."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ssosd.model import Exposure
from ssosd.plumbing.text import counted
from ssosd.sphere import mean_position, unit_vectors

_MEANINGLESS = frozenset(
    {"", "unknown", "none", "object", "n/a", "na", "null", "science", "light", "target", "test"}
)
_SIZE_RATIO = 1.5  # footprints that differ by more than this are of different instruments
_NO_FIELDS = ("drafts",)  # folders that a night has besides its fields
_LONGEST_NAME = 68  # characters, as one header card holds; CONTINUE cards may hold any number
_HOURS_PER_DAY = 24.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldSequence:
    """All exposures of one field in one night."""

    night: str  # ISO date of the local evening
    field: str  # name, safe as a folder name, unique in the night
    ra_deg: float  # mean centre, ICRS
    dec_deg: float
    exposures: tuple[Exposure, ...]  # in order of mid-exposure time, then digest


def group_exposures(
    exposures: Iterable[Exposure], *, night: str, radius_fraction: float, gap_hours: float
) -> tuple[FieldSequence, ...]:
    """Find the sequences among a night's exposures.

    Exposures whose centres are closer than `radius_fraction` of the smaller side of the smaller footprint
    belong to one field, and so do those joined through others (single linkage). The header's OBJECT names
    the field but does not make it: a misspelled or missing name changes nothing.

    Parameters
    ----------
    exposures : iterable of Exposure
        All of one night, in any order.
    night : str
        The night's name.
    radius_fraction : float
        Fraction of the footprint's smaller side.
    gap_hours : float
        A pause longer than this within a field starts another sequence; 0 never splits.

    Returns
    -------
    tuple of FieldSequence
        Ordered by first exposure.
    """
    ordered = sorted(exposures, key=lambda e: (e.mjd_mid, e.digest))
    if not ordered:
        return ()
    groups = [
        part
        for members in _pointings(ordered, radius_fraction)
        for part in _split_at_gaps([ordered[i] for i in members], gap_hours)
    ]
    groups.sort(key=lambda members: (members[0].mjd_mid, members[0].digest))
    centres = [mean_position([e.ra_deg for e in g], [e.dec_deg for e in g]) for g in groups]
    names = _unique_names([_object_name(g) for g in groups], centres)
    return tuple(
        FieldSequence(night=night, field=name, ra_deg=ra, dec_deg=dec, exposures=tuple(members))
        for name, (ra, dec), members in zip(names, centres, groups, strict=True)
    )


def completeness(
    sequence: FieldSequence,
    *,
    expected: int,
    last_arrival_s: float,
    now_s: float,
    timeout_s: float,
    night_over: bool,
) -> str:
    """Why a sequence is complete, or "" while more exposures may come.

    Parameters
    ----------
    sequence : FieldSequence
    expected : int
        Exposures of a complete sequence; 0 when unknown.
    last_arrival_s, now_s : float
        When its last exposure was recorded, and now; the same clock, seconds.
    timeout_s : float
        Pause after which nothing more is expected.
    night_over : bool
        The Sun is up at the site, or another night has begun.
    """
    count = len(sequence.exposures)
    if expected and count >= expected:
        return "its one exposure is here" if expected == 1 else f"all {expected} exposures are here"
    if night_over:
        return f"the night is over, with {counted(count, 'exposure')}"
    if now_s - last_arrival_s >= timeout_s:
        return f"no exposure for {timeout_s / 60.0:g} min, with {counted(count, 'exposure')}"
    return ""


def _pointings(exposures: Sequence[Exposure], radius_fraction: float) -> list[NDArray[np.intp]]:
    """Indices of exposures, grouped by overlapping pointing and like footprint."""
    sides = np.array([[e.width_deg, e.height_deg] for e in exposures])
    smaller, larger = sides.min(axis=1), sides.max(axis=1)
    vectors = unit_vectors([e.ra_deg for e in exposures], [e.dec_deg for e in exposures])
    tree = cKDTree(vectors)
    reach = 2.0 * np.sin(np.radians(radius_fraction * smaller.max()) / 2.0)
    pairs = tree.query_pairs(reach, output_type="ndarray")
    i, j = pairs[:, 0], pairs[:, 1]
    chord = np.linalg.norm(vectors[i] - vectors[j], axis=1)
    limit = 2.0 * np.sin(np.radians(radius_fraction * np.minimum(smaller[i], smaller[j])) / 2.0)
    alike = np.maximum(larger[i], larger[j]) <= _SIZE_RATIO * np.minimum(larger[i], larger[j])
    keep = (chord <= limit) & alike
    n = len(exposures)
    graph = csr_array((np.ones(keep.sum(), dtype=bool), (i[keep], j[keep])), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    return [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]


def _split_at_gaps(members: list[Exposure], gap_hours: float) -> list[list[Exposure]]:
    if gap_hours <= 0.0 or len(members) < 2:
        return [members]
    times = np.array([e.mjd_mid for e in members])
    breaks = np.flatnonzero(np.diff(times) * _HOURS_PER_DAY > gap_hours) + 1
    edges = [0, *breaks.tolist(), len(members)]
    return [members[a:b] for a, b in pairwise(edges)]


def _object_name(members: Sequence[Exposure]) -> str:
    """Most frequent usable OBJECT as a folder name; "" when there is none.

    Spellings that differ by case, blanks or signs vote together, and the most frequent of them is taken.
    """
    names = Counter(slug(e.object) for e in members if e.object.strip().casefold() not in _MEANINGLESS)
    names.pop("", None)
    if not names:
        return ""
    votes: Counter[str] = Counter()
    for name, count in names.items():
        votes[_bare(name)] += count
    return min(names, key=lambda name: (-votes[_bare(name)], _bare(name), -names[name], name))


def _bare(name: str) -> str:
    """A slug without case and separators: ``NGC_1``, ``ngc1`` and ``NGC-1`` are alike."""
    return re.sub(r"[^a-z0-9+]", "", name.casefold())


def slug(name: str) -> str:
    """A name as a folder name: at most 68 ASCII letters, digits, ``+-._``; everything else becomes ``_``.

    >>> slug(" M 31 / field é ")
    'M_31_field_e'
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^A-Za-z0-9+\-.]+", "_", ascii_name).strip("_.")[:_LONGEST_NAME].strip("_.")


def _unique_names(names: Sequence[str], centres: Sequence[tuple[float, float]]) -> list[str]:
    """Make names unique whatever their letters' case: by position where they clash, then by order."""
    clashes = Counter((*_NO_FIELDS, *(name.casefold() for name in names)))
    placed = [
        name if name and clashes[name.casefold()] == 1 else f"{name}_{position_name(*centre)}".lstrip("_")
        for name, centre in zip(names, centres, strict=True)
    ]
    again = Counter(name.casefold() for name in placed)
    seen: Counter[str] = Counter()
    unique = []
    for name in placed:
        key = name.casefold()
        seen[key] += 1
        unique.append(name if again[key] == 1 else f"{name}_{seen[key]}")
    return unique


def position_name(ra_deg: float, dec_deg: float) -> str:
    """A field's name from its position, as ``J0218+1336``: hours and minutes, degrees and minutes, truncated.

    >>> position_name(34.5, 13.6), position_name(359.99, -0.01)
    ('J0218+1336', 'J2359-0000')
    """
    ra_minutes = int(ra_deg * 4.0 + 1e-9) % 1440
    dec_minutes = int(abs(dec_deg) * 60.0 + 1e-9)
    sign = "-" if dec_deg < 0 else "+"
    return f"J{ra_minutes // 60:02d}{ra_minutes % 60:02d}{sign}{dec_minutes // 60:02d}{dec_minutes % 60:02d}"
