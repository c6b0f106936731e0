"""The astrometric reference catalogue, without which SCAMP cannot solve nor link."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from ssosd.astromatic_setup import read_setup
from ssosd.doctor.finding import Finding
from ssosd.errors import BadInput, Misconfigured, ServiceUnavailable
from ssosd.ldac import objects_frame, read_ldac
from ssosd.plumbing.fetch import fetch
from ssosd.plumbing.text import counted

NAME = "ASTREF_CATALOG"
_TILES = "REFCAT"  # our own tiles of Gaia
#: SCAMP 2.10's defaults (``scamp -dd``).
_CATALOGUE, _FILE, _SERVER = "2MASS", "astrefcat.cat", "vizier.unistra.fr"
_CENTRE_KEYS, _ERROR_KEYS, _MAG_KEY = "X_WORLD,Y_WORLD", "ERRA_WORLD,ERRB_WORLD,ERRTHETA_WORLD", "MAG"
#: Fewer stars than this cannot hold the third-degree solution of one field (10 coefficients an axis).
_FEW_STARS = 20


def check_reference(config: Mapping[str, Any], *, time_limit_s: float) -> list[Finding]:
    """Read the local reference catalogue, or ask whether the server of the online one answers."""
    setup_path = Path(config["SCAMP_CONFIG"])
    setup = read_setup(setup_path)
    wanted = config[NAME]
    if isinstance(wanted, Path):
        return [_local(wanted, setup), *_nameless(config)]
    if wanted == _TILES:
        return [_tiles(config, time_limit_s)]
    name = str(wanted or setup.get(NAME) or _CATALOGUE).upper()
    if name == "FILE":
        files = _words(setup, "ASTREFCAT_NAME", _FILE)
        return [*(_local(_beside(setup_path, Path(file)), setup) for file in files), *_nameless(config)]
    if name == "NONE":
        raise Misconfigured(
            "NONE: SCAMP needs a reference catalogue", next_step="name a FITS-LDAC file or GAIA-EDR3"
        )
    return [_online(name, setup, time_limit_s)]


def _nameless(config: Mapping[str, Any]) -> list[Finding]:
    """A file of stars that AST_CAT does not name: nobody knows what its magnitudes are."""
    if config["AST_CAT"] != "AUTO":
        return []
    return [
        Finding(
            name="AST_CAT",
            state="warn",
            detail="AUTO does not tell of a file: no magnitudes are calibrated, drafts have astCat UNK",
            next_step="set AST_CAT to the MPC's name of that catalogue, such as Gaia3",
        )
    ]


def _beside(setup_path: Path, file: Path) -> Path:
    """Where a file named in a set-up file is: beside that, else in the working directory."""
    beside = setup_path.parent / file
    return beside if beside.is_file() else Path.cwd() / file


def _local(path: Path, setup: Mapping[str, str]) -> Finding:
    try:
        tables = [objects_frame(chip.objects) for chip in read_ldac(path)]
    except BadInput as error:
        return Finding(
            name=NAME,
            state="fail",
            detail=error.message,
            next_step=error.next_step or "name a FITS-LDAC star catalogue in ASTREF_CATALOG",
        )
    columns = set.intersection(*(set(table.columns) for table in tables))
    centre = _words(setup, "ASTREFCENT_KEYS", _CENTRE_KEYS)
    missing = [key for key in centre if key not in columns]
    if missing or len(centre) < 2:
        return Finding(
            name=NAME,
            state="fail",
            detail=f"{path}: no column {' and '.join(missing)} in it; found {', '.join(sorted(columns))}",
            next_step="name the columns of the positions in ASTREFCENT_KEYS of the SCAMP set-up",
        )
    ra, dec = (
        np.concatenate([table[key].to_numpy(dtype=np.float64) for table in tables]) for key in centre[:2]
    )
    usable = np.isfinite(ra) & (np.abs(dec) <= 90.0)
    n = int(usable.sum())
    detail = f"{path}: {counted(n, 'star')}"
    if n:
        detail += f", Dec {dec[usable].min():+.2f} to {dec[usable].max():+.2f}"
    if n < _FEW_STARS:
        return Finding(
            name=NAME,
            state="fail" if n == 0 else "warn",
            detail=detail,
            next_step="give a catalogue that covers the fields, down to their faint stars",
        )
    lacking = [
        key
        for key in (*_words(setup, "ASTREFERR_KEYS", _ERROR_KEYS), *_words(setup, "ASTREFMAG_KEY", _MAG_KEY))
        if key not in columns
    ]
    if lacking:
        return Finding(
            name=NAME,
            state="warn",
            detail=f"{detail}; no column {' and '.join(lacking)}",
            next_step="add them, or name others in ASTREFERR_KEYS and ASTREFMAG_KEY of the SCAMP set-up",
        )
    return Finding(name=NAME, state="ok", detail=detail)


def _tiles(config: Mapping[str, Any], time_limit_s: float) -> Finding:
    """Whether stars of new fields can be had, and of how many tiles they are there."""
    folder, url = config["REFCAT"], config["REFCAT_URL"]
    count = sum(1 for _ in folder.rglob("*.cat")) if folder else 0
    kept = f"; {counted(count, 'tile', 'are')} kept in {folder}" if folder else ""
    host = urlsplit(url).hostname
    try:
        fetch(f"{url}?-source=I/355/gaiadr3&-out.max=1&-out=Gmag", time_limit_s)
    except ServiceUnavailable as error:
        return Finding(
            name=NAME,
            state="warn",
            detail=f"stars of new fields come from {host}, which does not answer: {error.message}{kept}",
            next_step="check the network, name a mirror in REFCAT_URL, or a local FITS-LDAC file",
        )
    return Finding(name=NAME, state="ok", detail=f"Gaia DR3 from {host}, which answers{kept}")


def _online(name: str, setup: Mapping[str, str], time_limit_s: float) -> Finding:
    server = _words(setup, "REF_SERVER", _SERVER)[0]
    try:
        fetch(f"http://{server}/", time_limit_s)
    except ServiceUnavailable as error:
        return Finding(
            name=NAME,
            state="warn",
            detail=f"{name} is downloaded by SCAMP, and its server does not answer now: {error.message}",
            next_step="check the network, or name a local FITS-LDAC file, which needs none",
        )
    return Finding(name=NAME, state="ok", detail=f"{name}, downloaded by SCAMP from {server}, which answers")


def _words(setup: Mapping[str, str], keyword: str, default: str) -> list[str]:
    return (setup.get(keyword) or default).replace(",", " ").split()
