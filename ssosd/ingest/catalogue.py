"""The catalogue of an exposure: what it depends on, what is in it, how good it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ssosd.astromatic_setup import content_digest, named_files
from ssosd.ldac import LdacChip, read_ldac
from ssosd.model import Exposure

#: Keywords of ssos.sex whose values are files of the user's.
USER_FILES = ("FLAG_IMAGE", "ASSOC_NAME", "PSF_NAME", "WEIGHT_IMAGE")
_KEY_VERSION = 2  # raise when the same inputs give another catalogue
_SEEING_SNR = 10.0  # fainter detections say little about the seeing


def catalogue_key(
    *,
    exposure: Exposure,
    config: Path,
    params: Path,
    conv: Path,
    nnw: Path,
    weights: tuple[Path, ...],
    version: str,
) -> str:
    """Digest of all that an exposure's catalogue depends on; equal keys, equal catalogues.

    Parameters
    ----------
    exposure : Exposure
        Its digest, chips, time, exposure time, filter and the cards of a header map count; its path does not.
    config, params, conv, nnw : Path
        SExtractor's set-up files and the files that `config` names: their contents count, not names or dates.
    weights : tuple of Path
        Weight images of the exposure, in the order of its chips; may be empty.
    version : str
        Of SExtractor.

    Raises
    ------
    Misconfigured
        A set-up file or weight image cannot be read.
    """
    parts = {
        "key": _KEY_VERSION,
        "exposure": exposure.digest,
        "chips": [chip.hdu for chip in exposure.chips],
        "time": [exposure.date_obs, exposure.mjd_start, exposure.mjd_mid, exposure.exptime_s],
        "filter": exposure.filter,
        "setup": [content_digest(path) for path in (config, params, conv, nnw)],
        "named": {key: content_digest(path) for key, path in named_files(config, USER_FILES).items()},
        "weights": [content_digest(path) for path in weights],
        "sextractor": version,
    }
    if any(chip.cards for chip in exposure.chips):
        parts["cards"] = [chip.cards for chip in exposure.chips]
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def read_catalogue(path: Path) -> pd.DataFrame:
    """All detections of a catalogue, the chips one after the other.

    Returns
    -------
    DataFrame
        SExtractor's columns and CHIP (int64), the chip's place in the catalogue, from 0.

    Raises
    ------
    BadInput
        It is no whole FITS-LDAC catalogue.
    """
    frames = [chip.frame().assign(CHIP=np.int64(k)) for k, chip in enumerate(read_ldac(path))]
    return pd.concat(frames, ignore_index=True)


def quality(chips: Sequence[LdacChip]) -> tuple[float, float]:
    """Seeing and background of an exposure.

    Parameters
    ----------
    chips : sequence of LdacChip
        With SExtractor's own header cards.

    Returns
    -------
    fwhm_px : float
        Median FWHM_IMAGE of unflagged detections with SNR_WIN above 10, pixels; NaN when not measured.
    background : float
        Median over the chips of SExtractor's median background (SEXBKGND), counts; NaN when not there.
    """
    names = chips[0].objects.dtype.names or ()
    fwhm = np.array([], dtype=np.float64)
    if "FWHM_IMAGE" in names:
        objects = np.concatenate([chip.objects[["FWHM_IMAGE", "FLAGS", "SNR_WIN"]] for chip in chips])
        usable = (objects["FLAGS"] == 0) & (objects["FWHM_IMAGE"] > 0) & (objects["SNR_WIN"] > _SEEING_SNR)
        fwhm = objects["FWHM_IMAGE"][usable].astype(np.float64)
    sky = [float(chip.header["SEXBKGND"]) for chip in chips if "SEXBKGND" in chip.header]
    return (
        float(np.median(fwhm)) if fwhm.size else float("nan"),
        float(np.median(sky)) if sky else float("nan"),
    )
