"""FIXED_APER_MAGS: one aperture for all detections of a source, set in its reference filter, for colours."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from numpy.typing import NDArray

from ssosd.astromatic import Binary, run
from ssosd.astromatic_setup import read_setup
from ssosd.errors import BadInput, Retriable
from ssosd.ldac import read_ldac

logger = logging.getLogger(__name__)

#: Columns added to the detections.
APERTURE_COLUMNS = ("MAG_APER", "MAGERR_APER", "FLUX_APER", "FLUXERR_APER")
#: Bit of FLAGS_SSOS that marks the reference detection of its source.
REFERENCE_FLAG = 2
_MAX_OFFSET_PX = 5.0  # the mover is within half a pixel of the centre; farther away it is something else
_NO_MAGNITUDE = 99.0  # SExtractor's MAG and MAGERR of a flux that is not positive


def fixed_apertures(
    *,
    detections: pd.DataFrame,
    cutouts: Mapping[tuple[int, int], Path],
    reference_filters: Sequence[str],
    binary: Binary,
    config: Path,
    conv: Path,
    nnw: Path,
    time_limit_s: float,
    directory: Path,
    workers: int = 1,
) -> pd.DataFrame:
    """Measure all detections of each source in the aperture of its reference detection.

    The reference detection is the earliest one in the first of the filters in which the source was detected.
    It is marked in FLAGS_SSOS; doing it again changes nothing. A source without a detection in these filters,
    or whose reference shows nothing in its centre, is left without magnitudes (the log says why).

    Parameters
    ----------
    detections : DataFrame, one row per detection
        SOURCE_NUMBER, CATALOG_NUMBER, FILTER, MID_EXPOSURE_MJD, FLAGS_SSOS.
    cutouts : mapping
        Paths by (SOURCE_NUMBER, CATALOG_NUMBER), from `ssosd.analysis.cutouts.extract_cutouts`.
    reference_filters : sequence of str
        REFERENCE_FILTER: as in the header's FILTER, the preferred one first.
    binary : Binary
        SExtractor, from `ssosd.astromatic.find`.
    config, conv, nnw : Path
        SEX_CONFIG (PHOT_APERTURES in it is the diameter in pixels), SEX_FILTER, SEX_NNW.
    time_limit_s : float
        Wall seconds for one pair of cutouts.
    directory : Path
        Scratch folders are made in it, and removed.
    workers : int
        Pairs measured at a time.

    Returns
    -------
    DataFrame
        A copy with MAG_APER, MAGERR_APER (mag), FLUX_APER, FLUXERR_APER (counts), NaN where not measured, and
        FLAGS_SSOS with bit 2 on the reference detections only.

    Raises
    ------
    Misconfigured
        SExtractor has vanished or its set-up cannot be read.
    """
    table = detections.copy()
    photometer = _Photometer(
        binary=binary, config=config, conv=conv, nnw=nnw, time_limit_s=time_limit_s, directory=directory
    )
    reference = reference_detections(table, reference_filters)
    values = np.full((len(table), len(APERTURE_COLUMNS)), np.nan)
    catalogs = table["CATALOG_NUMBER"].to_numpy()
    keys = list(zip(table["SOURCE_NUMBER"].tolist(), catalogs.tolist(), strict=True))
    pairs: list[tuple[int, Path, Path]] = []
    for place in np.flatnonzero(reference >= 0).tolist():
        paths = cutouts.get(keys[reference[place]]), cutouts.get(keys[place])
        if paths[0] is not None and paths[1] is not None:
            pairs.append((place, paths[0], paths[1]))

    def measure(pair: tuple[int, Path, Path]) -> tuple[int, NDArray[np.float64] | BadInput | Retriable]:
        try:
            return pair[0], photometer.measure(pair[1], pair[2])
        except (BadInput, Retriable) as error:
            return pair[0], error

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        for place, result in pool.map(measure, pairs):
            if isinstance(result, np.ndarray):
                values[place] = result
            else:
                logger.warning("source %d, catalogue %d: no aperture magnitude: %s", *keys[place], result)
    table[list(APERTURE_COLUMNS)] = values
    is_reference = reference == np.arange(len(table))
    flags = table["FLAGS_SSOS"].to_numpy(dtype=np.int64) & ~REFERENCE_FLAG
    table["FLAGS_SSOS"] = flags | np.where(is_reference, REFERENCE_FLAG, 0)
    return table


def reference_detections(detections: pd.DataFrame, reference_filters: Sequence[str]) -> NDArray[np.int64]:
    """Row of the reference detection of each detection's source.

    Parameters
    ----------
    detections : DataFrame, shape (n, ...)
        SOURCE_NUMBER, FILTER, MID_EXPOSURE_MJD.
    reference_filters : sequence of str
        The preferred one first.

    Returns
    -------
    ndarray of int64, shape (n,)
        Row number (position), -1 where the source was not seen in any of the filters.

    Examples
    --------
    >>> table = pd.DataFrame({"SOURCE_NUMBER": [1, 1, 1, 2], "FILTER": ["g", "r", "r", "g"]})
    >>> table["MID_EXPOSURE_MJD"] = [0.0, 0.3, 0.2, 0.0]
    >>> reference_detections(table, ["r", "i"]).tolist()
    [2, 2, 2, -1]
    """
    order = {name.strip(): rank for rank, name in reversed(list(enumerate(reference_filters)))}
    frame = pd.DataFrame(
        {
            "source": detections["SOURCE_NUMBER"].to_numpy(),
            "rank": detections["FILTER"].astype(str).str.strip().map(order).to_numpy(dtype=np.float64),
            "time": detections["MID_EXPOSURE_MJD"].to_numpy(),
            "row": np.arange(len(detections), dtype=np.int64),
        }
    )
    seen = frame.dropna(subset=["rank"]).sort_values(["source", "rank", "time", "row"], kind="stable")
    first = seen.drop_duplicates("source").set_index("source")["row"]
    return first.reindex(frame["source"]).fillna(-1).to_numpy(dtype=np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Photometer:
    """SExtractor in dual-image mode on pairs of cutouts, with the person's set-up."""

    binary: Binary
    config: Path  # SEX_CONFIG; PHOT_APERTURES in it is the diameter in pixels
    conv: Path  # SEX_FILTER
    nnw: Path  # SEX_NNW
    time_limit_s: float  # wall seconds for one pair
    directory: Path  # scratch folders are made in it

    def measure(self, reference: Path, cutout: Path) -> NDArray[np.float64]:
        """Measure a cutout at the place and with the aperture of the object central in the reference.

        Parameters
        ----------
        reference, cutout : Path
            Cutouts of equal size, each centred on a detection of the same source.

        Returns
        -------
        ndarray, shape (4,)
            As `APERTURE_COLUMNS`; magnitudes are NaN where the flux is not positive.

        Raises
        ------
        BadInput
            The cutouts differ in size, cannot be read, or nothing is detected at the reference's centre.
        Retriable
            SExtractor ran over its time limit or crashed.
        """
        with tempfile.TemporaryDirectory(prefix="ssosd-", dir=self.directory) as room:
            scratch = Path(room)
            names = "NUMBER X_IMAGE Y_IMAGE MAG_APER(1) MAGERR_APER(1) FLUX_APER(1) FLUXERR_APER(1) FLAGS"
            (scratch / "aper.param").write_text(names.replace(" ", "\n") + "\n", encoding="ascii")
            for name, path in {"ssos.sex": self.config, "ssos.conv": self.conv, "ssos.nnw": self.nnw}.items():
                (scratch / name).symlink_to(path.absolute())
            shape, masked = _lay_out(scratch, reference, cutout)
            arguments = ["detect.fits,measure.fits", "-c", "ssos.sex", "-PARAMETERS_NAME", "aper.param"]
            arguments += [
                "-FILTER_NAME",
                "ssos.conv",
                "-STARNNW_NAME",
                "ssos.nnw",
                "-CATALOG_NAME",
                "out.cat",
            ]
            arguments += ["-CATALOG_TYPE", "FITS_LDAC", "-CHECKIMAGE_TYPE", "NONE", "-WRITE_XML", "N"]
            if masked:
                arguments += ["-WEIGHT_TYPE", "MAP_WEIGHT,MAP_WEIGHT"]
                arguments += ["-WEIGHT_IMAGE", "detect.weight.fits,measure.weight.fits"]
            elif "MAP_" in read_setup(self.config).get("WEIGHT_TYPE", "").upper():
                arguments += [
                    "-WEIGHT_TYPE",
                    "NONE",
                ]  # the weight images are of the exposures, not of cutouts
            run(self.binary, arguments, cwd=scratch, time_limit_s=self.time_limit_s)
            objects = read_ldac(scratch / "out.cat")[0].objects
        centre = [(shape[1] + 1) / 2.0, (shape[0] + 1) / 2.0]
        offset = np.hypot(objects["X_IMAGE"] - centre[0], objects["Y_IMAGE"] - centre[1])
        if not offset.size or offset.min() > _MAX_OFFSET_PX:
            raise BadInput(f"{reference.name}: nothing detected within {_MAX_OFFSET_PX:g} px of its centre")
        row = objects[int(offset.argmin())]
        values = np.array([float(np.ravel(row[name])[0]) for name in APERTURE_COLUMNS])
        values[:2] = np.where(values[0] < _NO_MAGNITUDE, values[:2], np.nan)
        return values


def _lay_out(scratch: Path, reference: Path, cutout: Path) -> tuple[tuple[int, int], bool]:
    """Copy the pair without its NaN, and their weight maps; the size and whether there was a NaN."""
    shapes, masks = [], []
    for name, path in (("detect", reference), ("measure", cutout)):
        try:
            with fits.open(path, memmap=False) as hdus:
                pixels = np.asarray(hdus[0].data, dtype=np.float32)
                header = hdus[0].header.copy()
        except (OSError, TypeError, ValueError) as error:
            raise BadInput(f"{path}: cannot be read: {error}") from error
        good = np.isfinite(pixels)
        if not good.any():
            raise BadInput(f"{path.name}: blank")
        fits.PrimaryHDU(np.where(good, pixels, np.median(pixels[good])), header).writeto(
            scratch / f"{name}.fits"
        )
        fits.PrimaryHDU(good.astype(np.float32)).writeto(scratch / f"{name}.weight.fits")
        shapes.append(pixels.shape)
        masks.append(not good.all())
    if shapes[0] != shapes[1] or len(shapes[0]) != 2:
        raise BadInput(f"{reference.name} and {cutout.name} differ in size: {shapes[0]} and {shapes[1]}")
    return shapes[0], any(masks)
