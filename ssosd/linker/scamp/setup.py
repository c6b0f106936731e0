"""What a SCAMP set-up file says, as far as ssosd has to know it before SCAMP runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ssosd import astromatic_setup
from ssosd.config.tables.images import SCAMP_CATALOGUES
from ssosd.errors import Misconfigured

#: SCAMP 2.10's own defaults of the parameters that ssosd looks at (``scamp -dd``).
_DEFAULTS = {
    "ASTREF_CATALOG": "2MASS",
    "ASTREFCAT_NAME": "astrefcat.cat",
    "ASTREFCENT_KEYS": "X_WORLD,Y_WORLD",
    "ASTREFMAG_KEY": "MAG",
    "ASTR_FLAGSMASK": "0x00fc",
    "ASTR_IMAFLAGSMASK": "0x0",
    "CENTROID_KEYS": "XWIN_IMAGE,YWIN_IMAGE",
    "DISTORT_DEGREES": "3",
    "EXPOTIME_KEY": "EXPTIME",
    "IMAFLAGS_MASK": "0x0",
    "INCLUDE_ASTREFCATALOG": "Y",
    "MATCH": "Y",
    "POSANGLE_MAXERR": "5.0",
    "POSITION_MAXERR": "1.0",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """A SCAMP set-up file."""

    path: Path  # of the file
    values: Mapping[str, str]  # as written there, upper-case names

    def text(self, name: str) -> str:
        """Value of a parameter, SCAMP's default where the file does not set it."""
        return self.values.get(name, _DEFAULTS[name])

    def words(self, name: str) -> list[str]:
        """Value of a parameter with several elements."""
        words = self.text(name).replace(",", " ").split()
        if not words:
            raise Misconfigured(f"{self.path}: {name} has no value")
        return words

    def integer(self, name: str) -> int:
        """Value of a bit mask, decimal or hexadecimal."""
        word = self.words(name)[0]
        try:
            return int(word, 0)
        except ValueError as error:
            raise self._no_number(name, word) from error

    def number(self, name: str) -> float:
        """Value of a floating-point parameter."""
        word = self.words(name)[0]
        try:
            return float(word)
        except ValueError as error:
            raise self._no_number(name, word) from error

    def _no_number(self, name: str, word: str) -> Misconfigured:
        return Misconfigured(f"{self.path}: {name} is {word!r}, not a number")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """Where the astrometric reference comes from."""

    name: str  # "FILE" or a catalogue that SCAMP downloads
    files: tuple[Path, ...] = ()  # of FILE, absolute
    ours: bool = False  # written by `ssosd.linker.refcat.write_reference`, whatever columns the set-up names

    def __str__(self) -> str:
        return " and ".join(str(path) for path in self.files) or self.name


def read_setup(path: Path) -> Setup:
    """Read a SCAMP set-up file: lines ``NAME value # comment``.

    Raises
    ------
    Misconfigured
        The file cannot be read.
    """
    try:
        return Setup(path=path, values=astromatic_setup.read_setup(path))
    except Misconfigured as error:
        said = error.message.removeprefix(f"{path}: ")
        raise Misconfigured(
            f"{path}: SCAMP_CONFIG cannot be read: {said}", next_step="ssosd init writes one"
        ) from error


def choose_reference(reference: Reference | Path | str | None, *, setup: Setup) -> Reference:
    """Decide on the astrometric reference.

    Parameters
    ----------
    reference : Reference, Path, str or None
        One that is chosen already; a FITS-LDAC file; a catalogue that SCAMP downloads, or ``FILE`` for the
        set-up's ASTREFCAT_NAME; None for what the set-up says.
    setup : Setup
        Of SCAMP. A relative ASTREFCAT_NAME is looked for beside it, then in the working directory.

    Raises
    ------
    Misconfigured
        A file that is not there, or an unknown catalogue.
    """
    if isinstance(reference, Reference):
        return reference
    if isinstance(reference, Path):
        return Reference(name="FILE", files=(_existing([reference], "ASTREF_CATALOG"),))
    name = (reference or setup.text("ASTREF_CATALOG")).upper()
    if name == "FILE":
        names = [Path(word) for word in setup.words("ASTREFCAT_NAME")]
        files = tuple(_existing([setup.path.parent / n, n], f"{setup.path}: ASTREFCAT_NAME") for n in names)
        if files:
            return Reference(name="FILE", files=files)
    if name not in SCAMP_CATALOGUES:
        raise Misconfigured(
            f"ASTREF_CATALOG {name}: SCAMP needs a reference catalogue for linking",
            next_step=f"give the path of a FITS-LDAC file, FILE, or one of {' '.join(SCAMP_CATALOGUES)}",
        )
    return Reference(name=name)


def _existing(places: list[Path], parameter: str) -> Path:
    for place in places:
        if place.is_file():
            return place.resolve()
    raise Misconfigured(
        f"{parameter} {places[-1]}: no such file", next_step="give the path of a FITS-LDAC star catalogue"
    )
