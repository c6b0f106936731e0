"""Detect and measure: one SExtractor run per exposure, into one FITS-LDAC catalogue with all its chips."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ssosd.astromatic import Binary, log_tail, run
from ssosd.astromatic_setup import named_files, read_columns, read_setup
from ssosd.errors import BadInput, Misconfigured
from ssosd.ingest.catalogue import USER_FILES, catalogue_key, quality, read_catalogue
from ssosd.ingest.sextractor_log import refusal, summary, warnings
from ssosd.ingest.trails.whole import with_whole_trails
from ssosd.ldac import LdacChip, ldac_bytes, read_ldac
from ssosd.model import Catalogue, Exposure
from ssosd.plumbing.files import atomic_path, atomic_write_text

if TYPE_CHECKING:
    from ssosd.ingest.prepare import Prepared

__all__ = ["NEEDED_COLUMNS", "ahead_text", "catalogue_key", "extract", "read_catalogue"]

#: Columns that SCAMP, the linker or the filter chain cannot do without.
NEEDED_COLUMNS = (
    *("XWIN_IMAGE", "YWIN_IMAGE", "ERRAWIN_IMAGE", "ERRBWIN_IMAGE", "ERRTHETAWIN_IMAGE"),
    *("AWIN_IMAGE", "BWIN_IMAGE", "THETAWIN_IMAGE"),
    *("FLUX_AUTO", "FLUXERR_AUTO", "MAG_AUTO", "MAGERR_AUTO", "SNR_WIN", "FLAGS"),
)


def extract(
    *,
    exposure: Exposure,
    prepared: Prepared,
    binary: Binary,
    config: Path,
    params: Path,
    conv: Path,
    nnw: Path,
    output: Path,
    scratch: Path,
    time_limit_s: float,
    key: str,
) -> Catalogue:
    """Run SExtractor on an exposure; write its catalogue and, beside it, SCAMP's ``.ahead``.

    Idempotent: both files are written under temporary names and renamed, the ``.ahead`` first, so that an
    existing catalogue is a whole one and has its ``.ahead``.

    Parameters
    ----------
    exposure : Exposure
        What the catalogue is of.
    prepared : Prepared
        The plain FITS file that SExtractor can read, its weight image if any, the chips' ``.ahead`` texts.
    binary : Binary
        SExtractor, from `ssosd.astromatic.find`.
    config, params, conv, nnw : Path
        SEX_CONFIG, SEX_PARAMS, SEX_FILTER, SEX_NNW.
    output : Path
        The catalogue to write (``.cat``); replaced when it exists.
    scratch : Path
        Folder for SExtractor's working folder, which is removed.
    time_limit_s : float
        Wall seconds for SExtractor.
    key : str
        From `catalogue_key`, carried along.

    Raises
    ------
    BadInput
        SExtractor refuses the image, finds nothing or returns fewer chips than there are.
    Misconfigured
        The set-up lacks a needed column, or SExtractor refuses it.
    Retriable
        Time limit, crash, disk or memory full.
    """
    wanted = read_columns(params)
    missing = [name for name in NEEDED_COLUMNS if name not in wanted]
    if missing:
        raise Misconfigured(
            f"SEX_PARAMS {params}: without {', '.join(missing)}",
            next_step="add a line with each of these names",
        )
    output = output.absolute()
    with (
        tempfile.TemporaryDirectory(dir=scratch, prefix="sextractor-") as name,
        atomic_path(output) as temporary,
    ):
        room = Path(name)
        (room / "out.cat").symlink_to(temporary)
        arguments = _stage(
            room,
            files={"image.fits": prepared.image, "ssos.sex": config, "ssos.conv": conv, "ssos.nnw": nnw},
            params=params,
            weight=prepared.weight,
            name=exposure.name,
        )
        try:
            finished = run(binary, arguments, cwd=room, time_limit_s=time_limit_s)
        except BadInput as error:
            raise refusal(error, name=exposure.name, config=config) from error
        if not temporary.exists():
            raise BadInput(f"{exposure.name}: SExtractor wrote no catalogue: {log_tail(finished.tail, 3)}")
        chips = read_ldac(temporary)
        _check(chips, exposure=exposure, expected=len(prepared.hdus), config=config)
        whole = with_whole_trails(chips, prepared.image)
        if whole is not None:
            chips = whole
            temporary.write_bytes(ldac_bytes(chips))
        atomic_write_text(output.with_suffix(".ahead"), ahead_text(prepared.heads))
    fwhm_px, background = quality(chips)
    return Catalogue(
        path=str(output),
        key=key,
        n_detections=sum(len(chip.objects) for chip in chips),
        fwhm_px=fwhm_px,
        background=background,
        log_tail="\n".join([*warnings(finished), *summary(finished)]),
    )


def ahead_text(heads: Sequence[str]) -> str:
    r"""Contents of an ``.ahead`` file: the chips' cards in lines, each block closed by END.

    >>> ahead_text(["EXPTIME = 1.0", "EXPTIME = 2.0\nEND\n"])
    'EXPTIME = 1.0\nEND     \nEXPTIME = 2.0\nEND     \n'
    """
    blocks = []
    for head in heads:
        lines = [line.rstrip() for line in head.splitlines() if line.strip() not in ("", "END")]
        blocks.append("\n".join([*lines, "END     \n"]))
    return "".join(blocks)


def _stage(
    scratch: Path, *, files: dict[str, Path], params: Path, weight: Path | None, name: str
) -> list[str]:
    """Lay out the inputs in the scratch folder under short names and return SExtractor's arguments.

    SExtractor takes blanks and commas in names for separators and cuts long names: it sees links only.
    """
    lines = params.read_text(encoding="utf-8", errors="replace").splitlines()
    if "NUMBER" not in read_columns(params):
        lines.append("NUMBER")
    (scratch / "out.param").write_text("\n".join(lines) + "\n", encoding="utf-8")
    arguments = ["image.fits", "-c", "ssos.sex", "-PARAMETERS_NAME", "out.param", "-FILTER_NAME", "ssos.conv"]
    arguments += ["-STARNNW_NAME", "ssos.nnw", "-CATALOG_NAME", "out.cat", "-CATALOG_TYPE", "FITS_LDAC"]
    arguments += ["-CHECKIMAGE_TYPE", "NONE", "-WRITE_XML", "N", "-VERBOSE_TYPE", "NORMAL"]
    config = files["ssos.sex"]
    weighting = read_setup(config).get("WEIGHT_TYPE", "").upper()
    named = named_files(config, USER_FILES)
    if weight is not None:
        named["WEIGHT_IMAGE"] = weight
        if "MAP_" not in weighting:
            arguments += ["-WEIGHT_TYPE", "MAP_WEIGHT"]
    elif "MAP_" in weighting and "WEIGHT_IMAGE" not in named:
        raise Misconfigured(
            f"{config}: WEIGHT_TYPE {weighting}, but there is no weight image for {name}",
            next_step="set WEIGHT_IMAGES, or WEIGHT_TYPE BACKGROUND",
        )
    for keyword in named:
        arguments += [f"-{keyword}", keyword.lower()]
    links = {**files, **{keyword.lower(): path for keyword, path in named.items()}}
    for short, path in links.items():
        (scratch / short).symlink_to(path.absolute())
    return arguments


def _check(chips: Sequence[LdacChip], *, exposure: Exposure, expected: int, config: Path) -> None:
    """Refuse a catalogue that is not of the whole exposure, or is of nothing."""
    if len(chips) != expected:
        raise BadInput(f"{exposure.name}: SExtractor returned {len(chips)} of {expected} chips")
    if not any(len(chip.objects) for chip in chips):
        raise BadInput(
            f"{exposure.name}: SExtractor found nothing",
            next_step=f"clouds, a closed dome, or check DETECT_THRESH and DETECT_MINAREA in {config.name}",
        )
