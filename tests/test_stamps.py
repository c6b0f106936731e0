"""Cutouts as pictures: scale, contrast, blank pixels, PNG as another reader sees it."""

from __future__ import annotations

import io

import matplotlib.image
import numpy as np
import pytest
from astropy.io import fits

from ssosd.analysis.stamps import (
    BLANK,
    CONTRASTS,
    Stamp,
    blink_greys,
    cut_levels,
    greys,
    in_noise,
    png_bytes,
    read_stamp,
)
from ssosd.errors import BadInput

RNG = np.random.default_rng(3)


def sky(level=1000.0, noise=7.0, size=48):
    return RNG.normal(level, noise, (size, size)).astype(np.float32)


def test_in_noise_is_the_same_for_any_sky_and_gain():
    one = sky()
    one[20, 30] += 700
    other = in_noise(one * 3.0 + 250.0)
    assert np.allclose(in_noise(one), other, atol=0.01)
    assert abs(np.std(other[other < 5]) - 1.0) < 0.05
    assert other[20, 30] > 80


def test_blank_pixels_stay_blank_and_nothing_else_is():
    pixels = sky()
    pixels[:, :10] = np.nan
    (shaded,) = blink_greys([Stamp(pixels=pixels, header=fits.Header())])
    assert (shaded[:, :10] == BLANK).all()
    assert (shaded[:, 10:] != BLANK).all()


def test_a_frame_without_any_pixel_or_noise_is_a_picture_too():
    nothing = np.full((8, 8), np.nan, dtype=np.float32)
    flat = np.full((8, 8), 5.0, dtype=np.float32)
    for contrast in CONTRASTS:
        stamps = [Stamp(pixels=p, header=fits.Header()) for p in (nothing, flat)]
        blank, even = blink_greys(stamps, contrast)
        assert (blank == BLANK).all()
        assert len(np.unique(even)) == 1
    assert cut_levels([], "zscale")[0] < cut_levels([], "zscale")[1]


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_brighter_is_never_darker(contrast):
    ramp = np.linspace(-5, 500, 64 * 64, dtype=np.float32).reshape(64, 64)
    shaded = greys(ramp, levels=cut_levels([ramp], contrast), contrast=contrast)
    assert (np.diff(shaded[::-1].ravel().astype(int)) >= 0).all()
    assert shaded.max() == 255


def test_asinh_shows_a_faint_source_beside_a_bright_star():
    pixels = sky()
    pixels[10:13, 10:13] += 60.0
    pixels[30:34, 30:34] += 60000.0
    faint = {}
    for contrast in CONTRASTS:
        frame = in_noise(pixels)
        shaded = greys(frame, levels=cut_levels([frame], contrast), contrast=contrast)[::-1].astype(float)
        faint[contrast] = shaded[10:13, 10:13].mean() - np.median(shaded)
    assert faint["asinh"] > 15


def test_all_frames_of_a_blink_share_one_scale():
    quiet, bright = sky(), sky(level=3000.0)
    bright[24, 24] += 500
    quiet[24, 24] += 500
    one, other = blink_greys([Stamp(pixels=p, header=fits.Header()) for p in (quiet, bright)], "linear")
    assert abs(int(np.median(one)) - int(np.median(other))) <= 3


def test_png_as_another_reader_sees_it_north_up():
    pixels = sky()
    pixels[40, 5] = 9000.0  # in the north-east corner of a north-up, east-left cutout
    pixels[0, 0] = np.nan
    (shaded,) = blink_greys([Stamp(pixels=pixels, header=fits.Header())])
    png = png_bytes(shaded)
    seen = np.rint(255 * matplotlib.image.imread(io.BytesIO(png)))
    assert seen.shape == (48, 48)
    assert seen[7, 5] == 255
    assert np.array_equal(seen, shaded)
    assert (shaded == BLANK).sum() == 1
    assert shaded[-1, 0] == BLANK
    assert b"\x00\x00\x00\x02tRNS\x00\x00" in png  # PNG specification, 11.3.2.1: this grey is transparent
    assert png_bytes(shaded) == png_bytes(shaded.copy())


def test_read_a_stamp_and_refuse_what_is_none(tmp_path):
    pixels = sky(size=16)
    fits.PrimaryHDU(pixels).writeto(tmp_path / "1_2.fits")
    assert np.array_equal(read_stamp(tmp_path / "1_2.fits").pixels, pixels)
    fits.PrimaryHDU().writeto(tmp_path / "empty.fits")
    (tmp_path / "text.fits").write_text("not a FITS file")
    for name in ("empty.fits", "text.fits", "missing.fits"):
        with pytest.raises(BadInput, match=name):
            read_stamp(tmp_path / name)
