"""CHECKPLOTS: pictures that show whether positions and motions agree with those of the known objects."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ssosd.analysis.residuals import matched_detections, residual_statistics
from ssosd.errors import Misconfigured
from ssosd.plumbing.files import atomic_path
from ssosd.plumbing.text import counted

_log = logging.getLogger(__name__)

# Okabe & Ito (2008): told apart by all eyes and, by their lightness, on paper; symbols differ as well.
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#999999"
_DPI = 150
_STYLE_PT = 9
_TITLE: dict[str, Any] = {"fontsize": _STYLE_PT, "y": 1.0}  # a place for the title, which is not looked for
_LEFT, _RIGHT = 0.09, 0.99  # of the width: room for "-1000" and for "-0.025" at the axis
_FEW = 12  # exposures whose figures are printed


def make_checkplots(
    *, detections: pd.DataFrame, kinds: tuple[str, ...], directory: Path, title: str
) -> list[Path]:
    """Draw the check plots of a sequence.

    Parameters
    ----------
    detections : DataFrame
        Candidates as `match_candidates` labels them.
    kinds : tuple of str
        CHECKPLOTS: ``SKYBOT_RESIDUALS``, observed minus predicted positions by exposure; ``SKYBOT_PM``,
        observed against predicted motions.
    directory : Path
        Where the files ``<kind>.png`` are written.
    title : str
        Above each picture, e.g. the night and the field.

    Returns
    -------
    list of Path
        The files written, in the order of `kinds`. Without matched detections there is nothing to show: no
        file, one line in the log, and a picture of an earlier run is removed.

    Raises
    ------
    Misconfigured
        An unknown kind, or the folder cannot be written to.
    """
    unknown = [kind for kind in kinds if kind not in _KINDS]
    if unknown:
        raise Misconfigured(f"CHECKPLOTS {unknown[0]!r} is not one of {', '.join(_KINDS)} or False")
    matched = matched_detections(detections)
    written = []
    for kind in dict.fromkeys(kinds):
        path = directory / f"{kind}.png"
        if matched.empty:
            _log.info("%s: no check plot %s, no candidate is matched with a known object", title, kind)
            path.unlink(missing_ok=True)
            continue
        written.append(_save(_KINDS[kind](matched, title), path))
    return written


def _residuals(matched: pd.DataFrame, title: str) -> Figure:
    """Left the residuals on the sky, right their mean and scatter in each exposure."""
    figure = _figure(title, "observed minus predicted positions of known objects", matched)
    axes = figure.subplot_mosaic(
        [["sky", "RA"], ["sky", "DEC"]],
        width_ratios=[1.0, 1.15],
        gridspec_kw={"bottom": 0.155, "top": 0.855, "wspace": 0.22, "hspace": 0.08},
    )
    sky = axes["sky"]
    ra, dec = matched["SKYBOT_DELTARA"].to_numpy(), matched["SKYBOT_DELTADEC"].to_numpy()
    by_exposure = residual_statistics(matched)
    limit = _limit(np.concatenate([ra, dec]))
    outside = int(np.count_nonzero(np.maximum(np.abs(ra), np.abs(dec)) > limit))
    size = 3.5 if ra.size <= 500 else 2.0

    _cross(sky)
    sky.plot(ra, dec, "o", ms=size, mfc="none", mec=_GREY, mew=0.7, label="detections")
    sky.plot(
        by_exposure["MEAN_RA"],
        by_exposure["MEAN_DEC"],
        "s",
        ms=4.0,
        color=_BLUE,
        label="means of the exposures",
    )
    sky.plot(ra.mean(), dec.mean(), "+", ms=14, mew=2.0, color=_ORANGE, label="mean of all")
    sky.set(xlim=(limit, -limit), ylim=(-limit, limit), aspect="equal")
    sky.set(xlabel="RA cos Dec (arcsec), east to the left", ylabel="Dec (arcsec)")
    figure.legend(loc="lower left", ncols=3, fontsize=_STYLE_PT - 1, frameon=False)
    sky.set_title(
        f"RA {ra.mean():+z.3f}, rms {ra.std():.3f} arcsec\n"
        f"Dec {dec.mean():+z.3f}, rms {dec.std():.3f} arcsec",
        **_TITLE,
    )
    if outside:
        sky.set_xlabel(f"{sky.get_xlabel()}; outside: {outside}")
    numbers = matched["CATALOG_NUMBER"].to_numpy()
    for name, values in (("RA", ra), ("DEC", dec)):
        _cross(axes[name], vertical=False)
        axes[name].plot(numbers, values, "o", ms=0.8 * size, mfc="none", mec=_GREY, mew=0.6)
        _means(axes[name], by_exposure, name, limit)
    axes["RA"].set_title("mean and rms of each exposure", **_TITLE)
    axes["RA"].tick_params(labelbottom=False)
    axes["RA"].set_ylabel("RA cos Dec (arcsec)")
    axes["DEC"].set(ylabel="Dec (arcsec)", xlabel="exposure (CATALOG_NUMBER)")
    return figure


def _means(axes: Axes, by_exposure: pd.DataFrame, name: str, limit: float) -> None:
    """Mean and rms of each exposure; in figures too where there is room."""
    numbers, mean, rms = by_exposure.index, by_exposure[f"MEAN_{name}"], by_exposure[f"RMS_{name}"]
    few = len(numbers) <= _FEW
    axes.errorbar(
        numbers, mean, yerr=rms, fmt="s", ms=4.5 if few else 2.5, color=_BLUE, capsize=3 if few else 0, lw=1.2
    )
    axes.set(xlim=(numbers.min() - 0.6, numbers.max() + 0.6), ylim=(-limit, (1.45 if few else 1.0) * limit))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    for number, n, centre, scatter in zip(numbers, by_exposure["N"], mean, rms, strict=True) if few else ():
        text = f"{centre:+z.2f}" + (f"\n±{scatter:.2f}" if n > 1 else "")
        note = axes.text(
            number, 1.4 * limit, text, ha="center", va="top", fontsize=_STYLE_PT - 2.5, color=_BLUE
        )
        note.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})


def _limit(values: np.ndarray) -> float:
    """Half the side of the picture: all values, but a few wild ones must not hide the others."""
    largest = float(np.abs(values).max())
    centre = float(np.median(values))
    robust = abs(centre) + 8.0 * 1.4826 * float(
        np.median(np.abs(values - centre))
    )  # 8 sigma of a normal core
    return 1.15 * max(robust if largest > 3.0 * robust > 0.0 else largest, 0.1)


def _motions(matched: pd.DataFrame, title: str) -> Figure:
    """Above the observed against the predicted motion of each source, below their difference."""
    figure = _figure(title, "observed and predicted motions of known objects", matched)
    mosaic = figure.subplot_mosaic(
        [["ra", "dec"], ["d_ra", "d_dec"]],
        height_ratios=[2.4, 1.0],
        gridspec_kw={"bottom": 0.09, "top": 0.865, "wspace": 0.24, "hspace": 0.06},
    )
    wanted = ["PMRA", "PMDEC", "PMRA_ERR", "PMDEC_ERR", "SKYBOT_PMRA", "SKYBOT_PMDEC"]
    motions = matched.reindex(columns=["SOURCE_NUMBER", *wanted]).astype(float)
    motions = motions.groupby("SOURCE_NUMBER", sort=True).mean()
    for name, word in (("RA", "RA cos Dec"), ("DEC", "Dec")):
        upper, lower = mosaic[name.lower()], mosaic[f"d_{name.lower()}"]
        predicted, observed = motions[f"SKYBOT_PM{name}"], motions[f"PM{name}"]
        error = motions[f"PM{name}_ERR"].fillna(0.0)
        difference = observed - predicted
        ends = [float(min(predicted.min(), observed.min())), float(max(predicted.max(), observed.max()))]
        room = max(0.06 * (ends[1] - ends[0]), 1.0)
        line = [ends[0] - room, ends[1] + room]
        limit = 1.15 * max(float((difference.abs() + error).max()), 0.1)
        upper.plot(line, line, "-", color=_ORANGE, lw=1.0, zorder=1)
        upper.errorbar(predicted, observed, yerr=error, fmt="o", ms=4.0, mfc="none", color=_BLUE, lw=0.8)
        upper.set(xlim=line, ylim=line, ylabel="observed (arcsec/h)")
        upper.tick_params(labelbottom=False)
        upper.set_title(
            f"{word}: difference {difference.mean():+z.3f}"
            + (f", rms {difference.std(ddof=0):.3f} arcsec/h" if len(difference) > 1 else " arcsec/h"),
            **_TITLE,
        )
        lower.axhline(0.0, color=_ORANGE, lw=1.0, zorder=1)
        lower.errorbar(predicted, difference, yerr=error, fmt="o", ms=4.0, mfc="none", color=_BLUE, lw=0.8)
        lower.set(xlim=line, ylim=(-limit, limit))
        lower.set(xlabel=f"predicted in {word} (arcsec/h)", ylabel="difference")
        for axes in (upper, lower):
            axes.xaxis.set_major_locator(MaxNLocator(6))
            axes.grid(visible=True, color="0.9", lw=0.6)
            axes.set_axisbelow(True)
    return figure


_KINDS: dict[str, Callable[[pd.DataFrame, str], Figure]] = {
    "SKYBOT_RESIDUALS": _residuals,
    "SKYBOT_PM": _motions,
}


def _figure(title: str, what: str, matched: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(9.0, 5.2), dpi=_DPI)  # a layout engine would draw all of it twice, to measure it
    figure.subplots_adjust(left=_LEFT, right=_RIGHT)
    FigureCanvasAgg(figure)
    sources = matched["SOURCE_NUMBER"].nunique()
    count = f"{counted(sources, 'object')}, {counted(len(matched), 'detection')}"
    figure.suptitle(f"{title}: {what}\n{count}".lstrip(": "), fontsize=_STYLE_PT + 1.5)
    return figure


def _cross(axes: Axes, *, vertical: bool = True) -> None:
    axes.axhline(0.0, color="0.6", lw=0.8, zorder=0)
    if vertical:
        axes.axvline(0.0, color="0.6", lw=0.8, zorder=0)
    axes.grid(visible=True, color="0.9", lw=0.6)
    axes.set_axisbelow(True)


def _save(figure: Figure, path: Path) -> Path:
    """Write the picture in one step; the same picture is the same bytes."""
    for axes in figure.axes:
        axes.tick_params(labelsize=_STYLE_PT - 1)
        axes.xaxis.label.set_fontsize(_STYLE_PT)
        axes.yaxis.label.set_fontsize(_STYLE_PT)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
    return path
