"""What one target is worked with: configuration, binaries, site and folders, resolved once at start."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ssosd import __version__, astromatic
from ssosd.astromatic import Binary
from ssosd.astromatic_setup import read_setup
from ssosd.config import Config, recorded_config
from ssosd.config.tables import daemon, drafts, known, mail
from ssosd.errors import Misconfigured
from ssosd.headermap import HeaderMap, load_map
from ssosd.model import HeaderKeywords
from ssosd.plumbing.files import digest_of, room_to_write, shortened
from ssosd.site import Site, site_from

#: Parameters that decide what an exposure's header means.
HEADER_PARAMETERS = ("SCI_EXTENSION", "DATE-OBS", "FILTER", "EXPTIME", "OBJECT", "CALIBRATION", "HEADER_MAP")
#: Parameters that do not change any result of a sequence.
_WITHOUT_EFFECT_ON_RESULTS = frozenset(
    {"WORKERS", "SEX_TIME_LIMIT", "SCAMP_TIME_LIMIT", "SWARP_TIME_LIMIT", "SKYBOT_TIME_LIMIT", "SKYBOT_URL"}
    | {"ORBITS_URL", "COMETS_URL", "ORBITS_AGE", "REFCAT", "REFCAT_URL", "REFCAT_TIME_LIMIT"}
    | {entry.name for entry in (*daemon.ENTRIES, *mail.ENTRIES, *drafts.ENTRIES)}
)
#: Parameters that change nothing but what the candidates are compared with, and what is drawn of it; the
#: files of orbits count by their contents.
_OF_KNOWN_OBJECTS = frozenset({entry.name for entry in known.ENTRIES} | {"CHECKPLOTS"})
#: Parameters that decide the astrometry of an exposure by itself.
_OF_SOLUTIONS = ("SCAMP_CONFIG", "ASTREF_CATALOG", "CROSSID_RADIUS", "REFCAT_MAG")
#: Files of orbits: parameter, and the name under the target of one that is downloaded.
ORBIT_FILES = {"ORBITS": "MPCORB.DAT", "COMETS": "CometEls.txt"}
#: Folders of a night that are not yet, or no longer, a field's results.
STAGING_PREFIX = ".staging-"
#: Bumped when the same input gives other results than before, so that replays link again.
RESULT_VERSION = 10
#: Bumped when the known objects of the same input are others than before.
KNOWN_VERSION = 2
#: Value of ORBITS and COMETS: the daemon fetches the file.
DOWNLOAD = "DOWNLOAD"


@dataclass(frozen=True, kw_only=True)
class Station:
    """One target folder and all that is needed to fill it."""

    config: Config
    target: Path  # absolute
    binaries: Mapping[str, Binary] = field(default_factory=dict)  # by program; swarp only when it is wanted
    site: Site

    @classmethod
    def open(cls, config: Config, target: Path, *, search_path: str | None = None) -> Station:
        """Find the binaries and the site, and make sure that the target can be written.

        Raises
        ------
        Misconfigured
            A binary or set-up file is missing, the observatory code is unknown or the target is not writable.
        """
        wanted = ["sextractor", "scamp"]
        if config["CUTOUT_RESAMPLER"] == "SWARP" and (config["EXTRACT_CUTOUTS"] or config["FIXED_APER_MAGS"]):
            wanted.append("swarp")
        limit = int(config["MEMORY_LIMIT"] * 1e9)
        binaries = {
            program: replace(astromatic.find(program, search_path=search_path), memory_limit_bytes=limit)
            for program in wanted
        }
        site = _site(config)
        target = target.expanduser().absolute()
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Misconfigured(
                f"{target}: cannot write here: {error.strerror or error}",
                next_step="give a writable folder with -t TARGET",
            ) from error
        room_to_write(target, size_bytes=1)
        station = cls(config=config, target=target, binaries=binaries, site=site)
        _ = station.header_map  # a wrong map is told now
        return station

    @classmethod
    def to_look(cls, config: Config, target: Path) -> Station:
        """A set-up that only reads: no program is looked for, the target need not be there.

        Raises
        ------
        Misconfigured
            The observatory code is unknown or the header map is wrong.
        """
        station = cls(config=config, target=target.expanduser().absolute(), site=_site(config))
        _ = station.header_map
        return station

    @classmethod
    def of_record(cls, parameters: str, target: Path) -> Station:
        """The set-up of an earlier run, to write a night's files again; no program is looked for.

        Parameters
        ----------
        parameters : str
            `Config.as_text`, as the store keeps it.
        target : Path

        Raises
        ------
        Misconfigured
            A parameter or the observatory code has become invalid.
        """
        config = recorded_config(parameters)
        return cls(config=config, target=target.expanduser().absolute(), site=_site(config))

    @property
    def keywords(self) -> HeaderKeywords:
        """Header keywords as configured."""
        c = self.config
        return HeaderKeywords(
            date_obs=c["DATE-OBS"], filter=c["FILTER"], exptime=c["EXPTIME"], object=c["OBJECT"]
        )

    @cached_property
    def saturation_key(self) -> str:
        """SExtractor's keyword of the saturation level."""
        return read_setup(self.config["SEX_CONFIG"]).get("SATUR_KEY", "SATURATE")

    @property
    def workers(self) -> int:
        """How many exposures are worked on at once."""
        return int(self.config["WORKERS"]) or (os.cpu_count() or 1)

    @cached_property
    def header_map(self) -> HeaderMap:
        """What the headers of some instruments mean: HEADER_MAP and the shipped maps, read once."""
        return load_map(self.config["HEADER_MAP"])

    @cached_property
    def read_with(self) -> str:
        """Digest of what decides how a header is read, and what night an exposure belongs to."""
        h = hashlib.blake2b(self.config.digest(HEADER_PARAMETERS).encode(), digest_size=16)
        h.update(f"\n{self.site.lon_deg!r}\n{self.header_map!r}\n{self.saturation_key}".encode())
        return h.hexdigest()

    @cached_property
    def link_settings(self) -> str:
        """Digest of all but the exposures that a sequence's result depends on, contents of files included."""
        h = hashlib.blake2b(digest_size=16)
        names = sorted(set(self.config) - _WITHOUT_EFFECT_ON_RESULTS - _OF_KNOWN_OBJECTS)
        h.update(f"{RESULT_VERSION}\n{self.config.digest(names)}\n".encode())
        for program, binary in sorted(self.binaries.items()):
            h.update(f"{program} {binary.version}\n".encode())
        return h.hexdigest()

    @cached_property
    def solve_settings(self) -> str:
        """Digest of all but its catalogue that the astrometry of an exposure by itself depends on."""
        h = hashlib.blake2b(self.config.digest(_OF_SOLUTIONS).encode(), digest_size=16)
        h.update(f"\n{self.binaries['scamp'].version}".encode())
        return h.hexdigest()

    @property
    def known_settings(self) -> str:
        """Digest of what the known objects of a sequence come from, as the files of orbits are now."""
        names = _OF_KNOWN_OBJECTS - _WITHOUT_EFFECT_ON_RESULTS - ORBIT_FILES.keys()
        h = hashlib.blake2b(self.config.digest(names).encode(), digest_size=16)
        h.update(f"\n{KNOWN_VERSION}\n".encode())
        for name in ORBIT_FILES if self.uses_orbits else ():
            path = self.orbit_file(name)
            with suppress(FileNotFoundError):  # it is not downloaded yet
                h.update(f"{name} {digest_of(path) if path is not None else ''}\n".encode())
        return h.hexdigest()

    @property
    def uses_orbits(self) -> bool:
        """Whether own ephemerides are wanted."""
        return "ORBITS" in self.config["KNOWN_SOURCES"] and self.config["ORBITS"] is not None

    @property
    def uses_skybot(self) -> bool:
        """Whether SkyBoT is wanted."""
        return "SKYBOT" in self.config["KNOWN_SOURCES"] and bool(self.config["CROSSMATCH_SKYBOT"])

    def orbit_file(self, name: str) -> Path | None:
        """Where the file of ORBITS or COMETS is, or would be once it is downloaded; None for none."""
        return orbit_file(self.config, self.target, name)

    @property
    def orbit_cache(self) -> Path:
        """Folder for downloaded orbits and for what is computed from orbits."""
        return _orbit_cache(self.target)

    @property
    def versions(self) -> dict[str, str]:
        """Versions of ssosd and of the binaries, for the record of a run."""
        return {"ssosd": __version__, **{name: b.version for name, b in sorted(self.binaries.items())}}

    def field_folder(self, night: str, field_name: str) -> Path:
        """Where a sequence's files end up."""
        return self.target / night / field_name

    def catalogue_path(self, night: str, stem: str, key: str) -> Path:
        """Where an exposure's catalogue is kept until and after its sequence is linked."""
        return self.catalogue_folder(night) / f"{shortened(stem)}-{key[:12]}.cat"

    def catalogue_folder(self, night: str) -> Path:
        """Where the catalogues of a night's exposures are kept."""
        return self.target / ".ssosd" / "catalogues" / night

    @property
    def reference_tiles(self) -> Path:
        """Where the tiles of reference stars are kept."""
        return self.config["REFCAT"] or self.own_tiles

    @property
    def own_tiles(self) -> Path:
        """Where they are when REFCAT names no folder, which others may share."""
        return self.target / ".ssosd" / "refcat"

    def staging_folder(self, night: str, field_name: str) -> Path:
        """Where a sequence's files wait, until they are whole, to take the place of its former ones."""
        return self.target / night / f"{STAGING_PREFIX}{field_name}-{secrets.token_hex(4)}"

    @property
    def scratch(self) -> Path:
        """Folder for files that nobody needs after the step that made them."""
        folder = self.target / ".ssosd" / "scratch"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def orbit_file(config: Mapping[str, Any], target: Path, name: str) -> Path | None:
    """Where the file of ORBITS or COMETS is, or would be once it is downloaded; None for none."""
    value = config[name]
    if value != DOWNLOAD:
        return value if isinstance(value, Path) else None
    suffix = ".gz" if config[f"{name}_URL"].endswith(".gz") else ""
    return _orbit_cache(target) / f"{ORBIT_FILES[name]}{suffix}"


def _orbit_cache(target: Path) -> Path:
    return target / ".ssosd" / "orbits"


def _site(config: Config) -> Site:
    return site_from(
        config["OBSERVATORY_CODE"],
        lon_deg=config["SITE_LON"],
        lat_deg=config["SITE_LAT"],
        alt_m=config["SITE_ALT"],
    )
