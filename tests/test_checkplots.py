"""The check plots: the right numbers at the right places, the same bytes each time, no stop when there is nothing."""

from __future__ import annotations

import itertools
import logging

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from ssosd.analysis import checkplots
from ssosd.analysis.checkplots import make_checkplots, residual_statistics
from ssosd.errors import Misconfigured

KINDS = ("SKYBOT_RESIDUALS", "SKYBOT_PM")


def candidates(n_sources=6, n_exposures=4, seed=1):
    """Candidates of which two thirds are matched, with RA residuals of +0.3 and Dec residuals of -0.1 arcsec."""
    rng = np.random.default_rng(seed)
    source = np.repeat(np.arange(n_sources), n_exposures)
    n = source.size
    matched = source % 3 != 2
    pm = rng.uniform(-40, 40, (2, n_sources))
    table = pd.DataFrame(
        {
            "SOURCE_NUMBER": source,
            "CATALOG_NUMBER": np.tile(np.arange(1, n_exposures + 1), n_sources),
            "PMRA": pm[0][source] + 0.5,
            "PMDEC": pm[1][source] - 0.25,
            "PMRA_ERR": 0.2,
            "PMDEC_ERR": 0.2,
            "MATCHED": matched,
            "SKYBOT_PMRA": pm[0][source],
            "SKYBOT_PMDEC": pm[1][source],
            "SKYBOT_DELTARA": 0.3 + rng.normal(0, 0.05, n),
            "SKYBOT_DELTADEC": -0.1 + rng.normal(0, 0.05, n),
        }
    )
    predicted = [c for c in table.columns if c.startswith("SKYBOT")]
    table.loc[~matched, predicted] = np.nan
    return table


def make(detections, folder, kinds=KINDS):
    return make_checkplots(detections=detections, kinds=kinds, directory=folder, title="2026-11-14 F01")


def test_checkplots_chooses_the_pictures(tmp_path):
    for kinds in ((), KINDS[:1], KINDS[1:], KINDS):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        assert make(candidates(), folder, kinds) == [folder / f"{kind}.png" for kind in kinds]
        assert sorted(p.name for p in folder.iterdir()) == sorted(f"{kind}.png" for kind in kinds)


def test_pictures_are_readable_and_the_same_bytes_each_time(tmp_path):
    first = [p.read_bytes() for p in make(candidates(), tmp_path / "a")]
    second = [p.read_bytes() for p in make(candidates(), tmp_path / "b b")]
    other = [p.read_bytes() for p in make(candidates(seed=2), tmp_path / "c")]
    assert first == second
    assert all(one != another for one, another in zip(first, other, strict=True))
    for data in first:
        assert b"Software" not in data
        assert b"tIME" not in data
    for path in (tmp_path / "a").iterdir():
        pixels = matplotlib.image.imread(path)
        assert pixels.shape[0] >= 600
        assert pixels.shape[1] >= 900
        white = (pixels[..., :3] > 0.99).all(axis=-1).mean()
        assert 0.5 < white < 0.99


def test_residuals_are_drawn_where_they_are():
    matched = candidates()
    matched = matched[matched["MATCHED"]]
    figure = checkplots._residuals(matched, "2026-11-14 F01")
    sky, in_ra, in_dec = figure.axes
    points = next(line for line in sky.lines if line.get_label() == "detections")
    np.testing.assert_array_equal(points.get_xdata(), matched["SKYBOT_DELTARA"])
    np.testing.assert_array_equal(points.get_ydata(), matched["SKYBOT_DELTADEC"])
    assert sky.get_xlim()[0] > sky.get_xlim()[1]  # east to the left, as on the sky
    assert "RA" in sky.get_xlabel()
    assert "arcsec" in sky.get_xlabel()
    for axes, column in ((in_ra, "SKYBOT_DELTARA"), (in_dec, "SKYBOT_DELTADEC")):
        values = [matched.loc[matched["CATALOG_NUMBER"] == i, column].to_numpy() for i in range(1, 5)]
        ((marks, _, (bars,)),) = (c.lines for c in axes.containers)
        np.testing.assert_allclose(marks.get_ydata().astype(float), [v.mean() for v in values])
        half = [segment[:, 1] for segment in bars.get_segments()]
        np.testing.assert_allclose([(s[1] - s[0]) / 2 for s in half], [v.std() for v in values])
        assert [text.get_text() for text in axes.texts] == [
            f"{v.mean():+.2f}\n±{v.std():.2f}" for v in values
        ]
    assert "4 objects, 16 detections" in figure.get_suptitle()
    assert f"RA {matched['SKYBOT_DELTARA'].mean():+.3f}" in sky.get_title()


def test_nothing_is_said_to_be_minus_nothing():
    matched = candidates().assign(SKYBOT_DELTARA=-0.0001, SKYBOT_DELTADEC=-0.0001)
    sky, *by_exposure = checkplots._residuals(matched[matched["MATCHED"]], "x").axes
    said = [sky.get_title(), *(text.get_text() for axes in by_exposure for text in axes.texts)]
    assert "+0.00" in said[-1]
    assert [text for text in said if "-0.00" in text] == []


def test_motions_are_drawn_once_per_source():
    matched = candidates()
    matched = matched[matched["MATCHED"]]
    figure = checkplots._motions(matched, "2026-11-14 F01")
    per_source = matched.drop_duplicates("SOURCE_NUMBER")
    ra, dec, d_ra, d_dec = (axes.containers[0].lines[0].get_xydata().T for axes in figure.axes)
    np.testing.assert_allclose(ra, [per_source["SKYBOT_PMRA"], per_source["PMRA"]])
    np.testing.assert_allclose(dec, [per_source["SKYBOT_PMDEC"], per_source["PMDEC"]])
    np.testing.assert_allclose(d_ra[1], 0.5)
    np.testing.assert_allclose(d_dec[1], -0.25)
    for axes in figure.axes:  # nothing is cut off
        low, high = axes.get_ylim()
        y = axes.containers[0].lines[0].get_ydata()
        assert low < min(y)
        assert max(y) < high


def test_one_wild_residual_does_not_hide_the_others():
    matched = candidates(n_sources=30)
    matched = matched[matched["MATCHED"]].reset_index(drop=True)
    matched.loc[5, "SKYBOT_DELTARA"] = 9.5
    sky = checkplots._residuals(matched, "x").axes[0]
    assert abs(sky.get_ylim()[1]) < 3.0
    assert sky.get_xlabel().endswith("; outside: 1")


@pytest.mark.parametrize(
    "detections",
    [
        pd.DataFrame(),
        candidates().iloc[:0],
        candidates().assign(MATCHED=False),
        candidates().drop(columns="MATCHED"),  # as the seed's table without SkyBoT, which stopped it
        candidates().assign(SKYBOT_DELTARA=np.nan),
    ],
)
def test_nothing_matched_is_no_picture_and_no_error(detections, tmp_path, caplog):
    (old,) = make(candidates(), tmp_path, KINDS[:1])
    with caplog.at_level(logging.INFO, logger="ssosd.analysis.checkplots"):
        assert make(detections, tmp_path) == []
    assert not old.exists()
    assert [r.message for r in caplog.records] == [
        f"2026-11-14 F01: no check plot {kind}, no candidate is matched with a known object" for kind in KINDS
    ]


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_no_word_is_cut_off_or_in_another(scale):
    """Whatever the numbers: residuals of 0.003" and of 99", motions up to 1,200 "/h."""
    matched = candidates(n_sources=30)
    matched = matched[matched["MATCHED"]].reset_index(drop=True)
    numbers = [c for c in matched if c.startswith(("PM", "SKYBOT"))]
    matched[numbers] *= scale
    matched.loc[5, "SKYBOT_DELTARA"] = 99.5 * scale
    for draw in (checkplots._residuals, checkplots._motions):
        figure = draw(matched, "2026-11-14 a field with a long name")
        figure.canvas.draw()
        boxes = [axes.get_tightbbox() for axes in figure.axes]  # with all that is written at the axes
        boxes += [text.get_window_extent() for text in figure.texts]
        boxes += [legend.get_window_extent() for legend in figure.legends]
        frame = figure.bbox
        for box in boxes:
            assert min(box.x0 - frame.x0, frame.x1 - box.x1, box.y0 - frame.y0, frame.y1 - box.y1) >= 0.0
        for one, other in itertools.combinations(boxes, 2):
            assert not one.overlaps(other)


@pytest.mark.parametrize(("n_sources", "n_exposures"), [(1, 1), (2, 1), (1, 30), (40, 20)])
def test_few_and_many(n_sources, n_exposures, tmp_path):
    assert len(make(candidates(n_sources, n_exposures), tmp_path)) == 2


def test_missing_errors_and_predictions_are_left_out(tmp_path):
    detections = candidates().drop(columns=["PMRA_ERR", "PMDEC_ERR"])
    detections.loc[detections["CATALOG_NUMBER"] == 2, ["SKYBOT_DELTARA", "SKYBOT_DELTADEC"]] = np.nan
    assert len(make(detections, tmp_path)) == 2


def test_unknown_kind_is_named(tmp_path):
    with pytest.raises(Misconfigured, match=r"CHECKPLOTS 'SKYBOT_RESIUDALS' is not one of SKYBOT_RESIDUALS"):
        make(candidates(), tmp_path, ("SKYBOT_RESIUDALS",))
    assert list(tmp_path.iterdir()) == []


def test_statistics_are_those_of_a_loop():
    matched = candidates(seed=3)
    matched = matched[matched["MATCHED"]].iloc[:-1]
    table = residual_statistics(matched)
    for number, row in table.iterrows():
        here = matched[matched["CATALOG_NUMBER"] == number]
        assert row["N"] == len(here)
        ra = here["SKYBOT_DELTARA"].tolist()
        mean = sum(ra) / len(ra)
        assert row["MEAN_RA"] == pytest.approx(mean)
        assert row["RMS_RA"] == pytest.approx((sum((x - mean) ** 2 for x in ra) / len(ra)) ** 0.5)


def test_no_state_of_pyplot_is_touched(tmp_path):
    import subprocess
    import sys

    code = "import ssosd.analysis.checkplots, sys; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"
