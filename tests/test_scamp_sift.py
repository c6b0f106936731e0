"""One bad exposure never costs the sequence: the real SCAMP on sequences with exposures of all kinds of bad."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ssosd import astromatic
from ssosd.astromatic import Binary
from ssosd.errors import BadInput, Misconfigured, Retriable, ServiceUnavailable
from ssosd.linker.refcat import read_reference, write_reference
from ssosd.linker.scamp.quality import why_unmatched
from ssosd.plumbing.resources import shipped
from tests.ldac_sky import Mover, Sky, link_sky, of_movers

pytestmark = pytest.mark.binaries

MOVER = Mover(ra=34.5, dec=13.6, pmra=20.0, pmdec=-10.0)
WCS_KEYWORDS = re.compile(r"CTYPE|CRVAL|CRPIX|CDELT|PC|CD")


def random_places(header, objects):
    objects["XWIN_IMAGE"] = np.random.default_rng(3).uniform(1, 1024, len(objects))
    return objects


def five_arcmin_off(header, objects):
    header["CRVAL2"] += 5.0 / 60.0
    return objects


def degrees_off(header, objects):
    header["CRVAL1"] += 30.0
    return objects


def upside_down(header, objects):
    header["PC1_1"], header["PC2_2"] = -header["PC1_1"], -header["PC2_2"]
    return objects


def mirrored(header, objects):
    objects["XWIN_IMAGE"] = 1025.0 - objects["XWIN_IMAGE"]
    return objects


def wrong_scale(header, objects):
    header["CDELT1"], header["CDELT2"] = 2.0 * header["CDELT1"], 2.0 * header["CDELT2"]
    return objects


def without_wcs(header, objects):
    for keyword in [k for k in header if WCS_KEYWORDS.match(k)]:
        del header[keyword]
    return objects


def three_stars(header, objects):
    return objects[np.argsort(-objects["FLUX_AUTO"])[:3]]


def no_detection(header, objects):
    return objects[:0]


def all_saturated(header, objects):
    objects["FLAGS"] = 4
    return objects


BAD = [
    (random_places, "does not match the reference catalogue"),
    (five_arcmin_off, "does not match the reference catalogue"),
    (degrees_off, "does not match the reference catalogue"),
    (upside_down, "does not match the reference catalogue"),
    (mirrored, "does not match the reference catalogue"),
    (wrong_scale, "does not match the reference catalogue"),
    (without_wcs, "no CTYPE1, CTYPE2, CRVAL1, CRVAL2 in its header nor in frame-001.ahead"),
    (three_stars, "3 usable detections"),
    (no_detection, "no detection"),
    (all_saturated, "0 usable detections"),
]


@pytest.mark.parametrize(("spoiler", "reason"), BAD, ids=lambda v: getattr(v, "__name__", None))
def test_one_bad_exposure_is_left_out(tmp_path, spoiler, reason):
    def spoil(index, chip, header, objects):
        return spoiler(header, objects) if index == 0 else objects

    written = Sky(ra=34.5, dec=13.6, movers=[MOVER], n_exposures=5, spoil=spoil).write(tmp_path / "in")
    linked = link_sky(written, tmp_path / "out")

    assert [d.digest for d in linked.dropped] == [written.exposures[0].digest]
    assert reason in linked.dropped[0].reason
    assert "\n" not in linked.dropped[0].reason
    assert [e.digest for e in linked.exposures] == [e.digest for e in written.exposures[1:]]
    # what is left is what comes of the good exposures alone
    without = link_sky(written.without(0), tmp_path / "good")
    pd.testing.assert_frame_equal(linked.detections, without.detections, check_exact=True)
    found = of_movers(linked, written)
    assert found["SOURCE_NUMBER"].nunique() == 1
    assert found["PMRA"].to_numpy() == pytest.approx(20.0, abs=0.5)
    assert set(found["CATALOG_NUMBER"]) == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("spoiler", "n_stars"),
    [
        (random_places, 250),
        (upside_down, 250),
        (five_arcmin_off, 250),
        (wrong_scale, 250),
        (random_places, 1000),
        (five_arcmin_off, 1000),
    ],
)
def test_bad_exposures_in_the_majority_are_not_believed(tmp_path, spoiler, n_stars):
    """A polynomial bends itself through chance matches; four bad exposures do not outvote two good ones."""

    def spoil(index, chip, header, objects):
        return spoiler(header, objects) if index in (0, 2, 3, 5) else objects

    sky = Sky(ra=34.5, dec=13.6, movers=[MOVER], n_exposures=6, n_stars=n_stars, spoil=spoil)
    written = sky.write(tmp_path / "in")
    linked = link_sky(written, tmp_path / "out")
    assert [e.digest for e in linked.exposures] == [written.exposures[i].digest for i in (1, 4)]
    assert len(linked.dropped) == 4
    assert (linked.quality["FRACTION"] > 0.5).all()


def test_clouded_exposure_with_few_stars_is_kept(tmp_path):
    def clouds(index, chip, header, objects):
        return objects[np.sort(np.argsort(-objects["FLUX_AUTO"])[:15])] if index == 1 else objects

    written = Sky(ra=34.5, dec=13.6, spoil=clouds).write(tmp_path / "in")
    linked = link_sky(written, tmp_path / "out")
    assert len(linked.exposures) == 4
    assert linked.quality["N_MATCHED"].tolist()[1] == 15
    assert linked.detections.query("CATALOG_NUMBER == 2").shape[0] == 15


def test_hot_pixels_and_unfinite_numbers_do_not_matter(tmp_path):
    """Five times as many artefacts as stars, and detections without a position."""

    def dirty(index, chip, header, objects):
        rng = np.random.default_rng(index)
        hot = np.repeat(objects, 5)
        hot["XWIN_IMAGE"], hot["YWIN_IMAGE"] = rng.uniform(1, 1024, (2, len(hot)))
        hot["FLUX_AUTO"] *= 3.0
        result = np.concatenate([objects, hot])
        result["NUMBER"] = np.arange(1, len(result) + 1)
        result["XWIN_IMAGE"][-3:] = np.nan
        result["FLUX_AUTO"][-6:-3] = np.inf
        return result

    written = Sky(ra=34.5, dec=13.6, movers=[MOVER], spoil=dirty).write(tmp_path / "in")
    linked = link_sky(written, tmp_path / "out")
    assert len(linked.exposures) == 4
    assert (linked.quality["RMS_REF_RA"] < 0.1).all()
    assert np.isfinite(linked.detections[["XWIN_IMAGE", "RA", "FLUX"]]).all(axis=None)


def test_reference_of_another_sky(tmp_path):
    written = Sky(ra=34.5, dec=13.6).write(tmp_path / "in")
    other = Sky(ra=95.0, dec=-38.0, n_exposures=1).write(tmp_path / "other")
    with pytest.raises(BadInput) as caught:
        link_sky(written, tmp_path / "out", reference=other.reference)
    message = str(caught.value)
    assert "no exposure matches the reference catalogue" in message
    assert str(other.reference) in message
    assert re.search(r"its stars are around RA (94\.9|95\.0)\d* Dec -(38\.0|37\.9)", message)
    assert re.search(r"the field is at RA 34\.5\d* Dec 13\.(6|59)", message)


def test_reference_of_several_fields_is_not_blamed(tmp_path):
    """Its mean place is between the fields; what is wrong is where the headers say that the exposures are."""

    def off(index, chip, header, objects):
        return five_arcmin_off(header, objects)

    written = Sky(ra=34.5, dec=13.6, spoil=off).write(tmp_path / "in")
    other = Sky(ra=37.5, dec=15.1, n_exposures=1).write(tmp_path / "other")
    both = pd.concat([written.stars, other.stars], ignore_index=True)
    write_reference(tmp_path / "both.cat", both, epoch=2026.0)
    with pytest.raises(
        BadInput, match=r"the field is at RA 34\.5.*for one: does not match.*check its pointing"
    ) as caught:
        link_sky(written, tmp_path / "out", reference=tmp_path / "both.cat")
    assert "its stars are around" not in str(caught.value)


def test_reference_that_covers_only_one_exposure_of_another_place(tmp_path):
    """An exposure whose stated place is elsewhere has no reference stars, which makes SCAMP crash."""
    written = Sky(ra=34.5, dec=13.6, n_exposures=4).write(tmp_path / "in")
    lost = replace(written.exposures[2], ra_deg=200.0)
    exposures = [*written.exposures[:2], lost, written.exposures[3]]
    linked = link_sky(replace(written, exposures=exposures), tmp_path / "out")
    assert [d.digest for d in linked.dropped] == [lost.digest]
    assert "has 0 stars over its field at RA 200.000" in linked.dropped[0].reason


def test_too_few_exposures_left(tmp_path):
    def spoil(index, chip, header, objects):
        return random_places(header, objects) if index else objects

    written = Sky(ra=34.5, dec=13.6, n_exposures=3, spoil=spoil).write(tmp_path / "in")
    with pytest.raises(BadInput, match=r"1 of 3 exposures can be used, 2 are needed.*does not match"):
        link_sky(written, tmp_path / "out")
    with pytest.raises(BadInput, match=r"no exposure matches the reference catalogue .*check its pointing"):
        link_sky(written.without(0), tmp_path / "out")
    with pytest.raises(BadInput, match="1 of 1 exposure can be used, 2 are needed"):
        link_sky(written.without(1, 2), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_unreadable_catalogue_costs_only_itself(tmp_path):
    written = Sky(ra=34.5, dec=13.6).write(tmp_path / "in")
    whole = written.catalogues[1].read_bytes()
    written.catalogues[1].write_bytes(whole[: len(whole) // 2])
    linked = link_sky(written, tmp_path / "out")
    assert len(linked.exposures) == 3
    assert "frame-002.cat" in linked.dropped[0].reason


def test_catalogue_of_other_chips_costs_only_itself(tmp_path):
    written = Sky(ra=34.5, dec=13.6).write(tmp_path / "in")
    twice = replace(written.exposures[1], chips=written.exposures[1].chips * 2)
    exposures = [written.exposures[0], twice, *written.exposures[2:]]
    linked = link_sky(replace(written, exposures=exposures), tmp_path / "out")
    assert "has 1 chips, frame-002.fits has 2 science images" in linked.dropped[0].reason


def test_exposure_that_crashes_scamp_is_left_out(tmp_path):
    wrapper = tmp_path / "scamp"
    wrapper.write_text(
        f"#!{sys.executable}\nimport os, signal, subprocess, sys\n"
        "if 'frame-003.cat' in sys.argv:\n    os.kill(os.getpid(), signal.SIGSEGV)\n"
        f"sys.exit(subprocess.call([{astromatic.find('scamp').path!r}, *sys.argv[1:]]))\n"
    )
    wrapper.chmod(0o755)
    written = Sky(ra=34.5, dec=13.6, n_exposures=5).write(tmp_path / "in")
    crashing = Binary(program="scamp", path=str(wrapper), version="2.10.0")
    linked = link_sky(written, tmp_path / "out", binary=crashing)
    assert [d.digest for d in linked.dropped] == [written.exposures[2].digest]
    assert linked.dropped[0].reason.startswith("SCAMP fails on its catalogue: scamp was killed by SIGSEGV")
    assert len(linked.exposures) == 4


def test_killed_from_outside_is_not_blamed_on_an_exposure(tmp_path):
    wrapper = tmp_path / "scamp"
    wrapper.write_text(f"#!{sys.executable}\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    wrapper.chmod(0o755)
    written = Sky(ra=34.5, dec=13.6).write(tmp_path / "in")
    killed = Binary(program="scamp", path=str(wrapper), version="2.10.0")
    with pytest.raises(Retriable, match="SIGKILL"):
        link_sky(written, tmp_path / "out", binary=killed)


def test_missing_column_is_the_set_ups_fault(tmp_path):
    def cut(index, chip, header, objects):
        return objects[[name for name in objects.dtype.names if name != "SNR_WIN"]].copy()

    written = Sky(ra=34.5, dec=13.6, spoil=cut).write(tmp_path / "in")
    with pytest.raises(Misconfigured, match=r"frame-001.cat: SExtractor measured no SNR_WIN .*SEX_PARAMS"):
        link_sky(written, tmp_path / "out")


def test_centroids_that_were_not_measured(tmp_path):
    setup = tmp_path / "own.scamp"
    setup.write_text(shipped("semp/ssos.scamp").read_text() + "\nCENTROID_KEYS X_IMAGE,YWIN_IMAGE\n")
    written = Sky(ra=34.5, dec=13.6).write(tmp_path / "in")
    with pytest.raises(
        Misconfigured, match=r"own\.scamp: CENTROID_KEYS names X_IMAGE, which SExtractor did not"
    ):
        link_sky(written, tmp_path / "out", config=setup)


def test_bad_set_up_value_is_not_blamed_on_the_exposures(tmp_path):
    setup = tmp_path / "bad.scamp"
    setup.write_text(shipped("semp/ssos.scamp").read_text() + "\nSTABILITY_TYPE SHAKY\n")
    written = Sky(ra=34.5, dec=13.6).write(tmp_path / "in")
    with pytest.raises(
        BadInput, match=r"SCAMP fails on every exposure: .*STABILITY_TYPE.*check .*bad\.scamp"
    ):
        link_sky(written, tmp_path / "out", config=setup)


def test_time_limit(tmp_path):
    slow = tmp_path / "scamp"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    written = Sky(ra=34.5, dec=13.6).write(tmp_path / "in")
    hanging = Binary(program="scamp", path=str(slow), version="2.10.0")
    with pytest.raises(Retriable, match="time limit"):
        link_sky(written, tmp_path / "out", binary=hanging, time_limit_s=0.5)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_scamp_that_loses_the_row_numbers_is_found_out(tmp_path):
    """Should a version of SCAMP not carry the numbers through, nothing may be mixed up silently."""
    wrapper = tmp_path / "scamp"
    wrapper.write_text(
        f"#!{sys.executable}\nimport subprocess, sys\nfrom astropy.io import fits\n"
        f"code = subprocess.call([{astromatic.find('scamp').path!r}, *sys.argv[1:]])\n"
        "with fits.open('full_1.cat', mode='update') as hdus:\n"
        "    hdus[2].data['FLAGS_IMA'] = hdus[2].data['FLAGS_IMA'][::-1].copy()\n"
        "sys.exit(code)\n"
    )
    wrapper.chmod(0o755)
    written = Sky(ra=34.5, dec=13.6).write(tmp_path / "in")
    with pytest.raises(Misconfigured, match="does not give back the detections"):
        link_sky(
            written,
            tmp_path / "out",
            binary=Binary(program="scamp", path=str(wrapper), version="9.9"),
        )


def fake_server(tmp_path, body):
    """A SCAMP whose downloads come from a file: it is run with FILE and saves the copy that SCAMP would."""
    wrapper = tmp_path / "scamp"
    wrapper.write_text(
        f"#!{sys.executable}\nimport shutil, subprocess, sys\narguments = sys.argv[1:]\n"
        "if 'GAIA-EDR3' in arguments:\n"
        + body
        + f"sys.exit(subprocess.call([{astromatic.find('scamp').path!r}, *arguments]))\n"
    )
    wrapper.chmod(0o755)
    return Binary(program="scamp", path=str(wrapper), version="2.10.0")


@pytest.mark.parametrize("remove", [False, True])
def test_online_reference(tmp_path, remove):
    written = Sky(ra=34.5, dec=13.6, movers=[MOVER]).write(tmp_path / "in")
    binary = fake_server(
        tmp_path,
        "    assert arguments[arguments.index('-SAVE_REFCATALOG') + 1] == 'Y'\n"
        "    folder = arguments[arguments.index('-REFOUT_CATPATH') + 1]\n"
        f"    shutil.copy({str(written.reference)!r}, folder + '/GAIA-EDR3_0218+1336_r12.cat')\n"
        "    arguments[arguments.index('GAIA-EDR3')] = 'FILE'\n"
        f"    arguments += ['-ASTREFCAT_NAME', {str(written.reference)!r}]\n",
    )
    online = link_sky(
        written, tmp_path / "out", reference="GAIA-EDR3", binary=binary, remove_ref_sources=remove
    )
    local = link_sky(written, tmp_path / "local", remove_ref_sources=remove)
    pd.testing.assert_frame_equal(online.detections, local.detections, check_exact=True)
    pd.testing.assert_frame_equal(online.reference, local.reference)
    assert len(read_reference(written.reference)) == len(online.reference)


def test_server_that_does_not_answer(tmp_path):
    written = Sky(ra=34.5, dec=13.6).write(tmp_path / "in")
    binary = fake_server(
        tmp_path,
        "    print('> Querying vizier.unistra.fr for GAIA-EDR3 astrometric reference stars...', file=sys.stderr)\n"
        "    print('> *Error*: Connection timeout for vizier.unistra.fr', file=sys.stderr)\n"
        "    sys.exit(1)\n",
    )
    with pytest.raises(
        ServiceUnavailable, match=r"GAIA-EDR3: .*Connection timeout for vizier.*FITS-LDAC file"
    ):
        link_sky(written, tmp_path / "out", reference="GAIA-EDR3", binary=binary)


@pytest.mark.parametrize(
    ("dev", "gain", "check"),
    [
        (5.5e-4, 1.5, r"0\.0008 electrons if GAIN is 1\.5, .* multiply GAIN"),  # counts divided by 65535
        (12.0, 1.5, "check for clouds"),
        (5.5e-4, 98302.5, "check for clouds"),
        (5.5e-4, 0.0, "check for clouds"),  # of no gain SExtractor makes no noise
    ],
)
def test_pixels_of_another_scale_than_gain_are_named(dev: float, gain: float, check: str) -> None:
    """SExtractor takes each star for less than a photon: none is significant, and it was said to be clouds."""
    frame = SimpleNamespace(
        exposure=SimpleNamespace(chips=[SimpleNamespace(scale_arcsec=1.0)]),
        chips=[SimpleNamespace(header={"SEXGAIN": gain, "SEXBKDEV": dev})],
    )
    said = why_unmatched(pd.Series({"N_DETECTIONS": 1.0}), reference="refcat", frame=frame)
    assert said.startswith("has 1 usable detection, 8 reference stars")
    assert re.search(check, said)
