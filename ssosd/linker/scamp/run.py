"""One run of SCAMP in a folder of its own: the command, its errors, where its results are."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssosd import astromatic
from ssosd.astromatic import Binary
from ssosd.errors import BadInput, Retriable, ServiceUnavailable
from ssosd.linker.scamp.input import MASKED_FLAG
from ssosd.linker.scamp.setup import Reference, Setup, choose_reference, read_setup

SAVED_REFERENCES = "references"
#: What the columns of our own catalogues are called, whatever the set-up says of others.
_OUR_COLUMNS = {
    "ASTREFCENT_KEYS": "X_WORLD,Y_WORLD",
    "ASTREFERR_KEYS": "ERRA_WORLD,ERRB_WORLD,ERRTHETA_WORLD",
    "ASTREFMAG_KEY": "MAG",
    "ASTREFMAGERR_KEY": "MAGERR",
    "ASTREFOBSDATE_KEY": "OBSDATE",
}
_SERVER_FAILED = re.compile(
    r"\*Error\*.*(connect|timeout|timed out|host|server|vizier|http|resolv|url)", re.IGNORECASE
)
#: Signals with which a program dies of its input, not of its surroundings.
_CRASHED = re.compile(r"killed by SIG(SEGV|ABRT|FPE|BUS|ILL)\b")


class ScampFailed(BadInput):
    """SCAMP gave up or crashed on these catalogues: perhaps one of them is to blame."""


def gist(error: ScampFailed) -> str:
    """The first line of a failure and the line that says why."""
    lines = [line.strip("> ") for line in error.message.splitlines() if line.strip("> ")]
    said = [line for line in lines if "*Error*" in line] or lines[-1:]
    head = lines[0].partition(":")[0] if len(lines) > 1 else ""
    return ": ".join(dict.fromkeys([*([head] if head else []), *said[-1:]]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run of SCAMP that ended well."""

    folder: Path  # with full_1.cat, merged_1.cat, scamp.xml and a .head per catalogue
    tail: str  # last lines it printed

    def numbered(self, stem: str) -> list[Path]:
        """Files ``stem_1.cat``, ``stem_2.cat`` ..., one per group of overlapping exposures, in order."""
        found = [(int(path.stem.rsplit("_", 1)[1]), path) for path in self.folder.glob(f"{stem}_*.cat")]
        return [path for _, path in sorted(found)]

    @property
    def saved_references(self) -> list[Path]:
        """Copies of the reference stars that SCAMP downloaded."""
        return sorted((self.folder / SAVED_REFERENCES).glob("*.cat"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Scamp:
    """SCAMP and all that is the same for each of its runs on a sequence."""

    binary: Binary
    setup: Setup
    reference: Reference
    crossid_radius_arcsec: float | None  # None: as the set-up says
    deadline: float  # of `time.monotonic`, for all runs together

    @classmethod
    def ready(
        cls,
        *,
        binary: Binary,
        config: Path,
        reference: Reference | Path | str | None,
        crossid_radius_arcsec: float | None,
        time_limit_s: float,
    ) -> Scamp:
        """Read the set-up and choose the reference; time counts from now.

        Raises
        ------
        Misconfigured
            As `read_setup` and `choose_reference`.
        """
        deadline = time.monotonic() + time_limit_s
        setup = read_setup(config)
        return cls(
            binary=binary,
            setup=setup,
            reference=choose_reference(reference, setup=setup),
            crossid_radius_arcsec=crossid_radius_arcsec,
            deadline=deadline,
        )

    def run(
        self,
        names: Sequence[str],
        *,
        folder: Path,
        reference: Reference | None = None,
        changes: Mapping[str, str] | None = None,
    ) -> Run:
        """Run SCAMP on catalogues in a folder.

        Parameters
        ----------
        names : sequence of str
            Of the catalogues, in the order that gives them their CATALOG_NUMBER.
        folder : Path
            Where they are and the results appear.
        reference : Reference, optional
            In place of the sequence's.
        changes : mapping, optional
            Further SCAMP parameters.

        Raises
        ------
        ScampFailed
            It ended with an error or crashed.
        ServiceUnavailable
            The server of the reference catalogue did not answer.
        Retriable, Misconfigured
            As `ssosd.astromatic.run`.
        """
        used = reference or self.reference
        parameters = self._parameters(used, folder)
        parameters.update(changes or {})
        arguments = [*names, "-c", str(self.setup.path.resolve())]
        for name, value in parameters.items():
            arguments += [f"-{name}", value]
        try:
            done = astromatic.run(
                self.binary, arguments, cwd=folder, time_limit_s=max(1.0, self.deadline - time.monotonic())
            )
        except BadInput as error:
            if used.name != "FILE" and _SERVER_FAILED.search(error.message):
                said = error.message.rpartition("*Error*:")[2].split("\n")[0].strip()
                raise ServiceUnavailable(
                    f"{used.name}: SCAMP could not download reference stars: {said}",
                    next_step="wait for the server, or give ASTREF_CATALOG the path of a FITS-LDAC file",
                ) from error
            raise ScampFailed(error.message, next_step=error.next_step) from error
        except Retriable as error:
            if _CRASHED.search(error.message):
                raise ScampFailed(error.message) from error
            raise
        result = Run(folder=folder, tail=done.tail)
        if not (result.numbered("full") and result.numbered("merged")):
            raise ScampFailed(f"SCAMP wrote no catalogue of its results: {result.tail}")
        return result

    def _parameters(self, reference: Reference, folder: Path) -> dict[str, str]:
        """Parameters that ssosd decides, whatever the set-up says."""
        parameters = {
            "ASTREF_CATALOG": reference.name,
            "MERGEDOUTCAT_TYPE": "FITS_LDAC",
            "MERGEDOUTCAT_NAME": "merged.cat",
            "FULLOUTCAT_TYPE": "FITS_LDAC",
            "FULLOUTCAT_NAME": "full.cat",
            "WRITE_XML": "Y",
            "XML_NAME": "scamp.xml",
            "HEADER_SUFFIX": ".head",
            "HEADER_TYPE": "NORMAL",
            "COMPUTE_PROPERMOTIONS": "Y",
            "IMAFLAGS_MASK": "0",
            "ASTR_IMAFLAGSMASK": "0",
            "PHOT_IMAFLAGSMASK": "0",
            "VERBOSE_TYPE": "NORMAL",
            "NTHREADS": "1",  # with more, the links depend on which thread is first
        }
        if reference.name == "FILE":
            names = []
            for i, path in enumerate(reference.files, start=1):
                names.append(f"reference_{i}.ldac")  # a link: SCAMP splits names at blanks and commas
                (folder / names[-1]).symlink_to(path)
            parameters["ASTREFCAT_NAME"] = ",".join(names)
            parameters |= _OUR_COLUMNS if reference.ours else {}
        else:
            (folder / SAVED_REFERENCES).mkdir()
            parameters |= {"SAVE_REFCATALOG": "Y", "REFOUT_CATPATH": SAVED_REFERENCES}
        if self.crossid_radius_arcsec is not None:
            parameters["CROSSID_RADIUS"] = f"{self.crossid_radius_arcsec:.10g}"
        if self.setup.integer("ASTR_IMAFLAGSMASK"):
            parameters["ASTR_FLAGSMASK"] = str(self.setup.integer("ASTR_FLAGSMASK") | MASKED_FLAG)
        return parameters
