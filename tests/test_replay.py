"""Whole painted nights through the corridor with the real binaries, from files to candidates and drafts."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from click.testing import CliRunner

from ssosd.analysis.painter.night import PaintedNight
from ssosd.analysis.truth import compare_with_truth
from ssosd.cli import main
from ssosd.errors import BadInput
from ssosd.reports.columns import CANDIDATE_COLUMNS
from ssosd.store import STORE_NAME, Store
from tests.replaying import NIGHT, NIGHT_MOVERS, ONE_FIELD, Outcome, link, run
from tests.sky import shared_sky

pytestmark = pytest.mark.binaries

#: What the documentation of the seed promises in its table of candidates.
_SEED = (
    "SOURCE_NUMBER CATALOG_NUMBER RA DEC EPOCH MAG MAGERR FLUX FLUXERR PM PMERR PMRA PMRA_ERR PMDEC "
    "PMDEC_ERR MID_EXPOSURE_MJD DATE-OBS EXPTIME OBJECT FILTER RA_IMAGE DEC_IMAGE IMAGE_FILENAME "
    "EXTENSION XWIN_IMAGE YWIN_IMAGE AWIN_IMAGE ERRAWIN_IMAGE BWIN_IMAGE ERRBWIN_IMAGE "
    "THETAWIN_IMAGE ERRTHETAWIN_IMAGE ERRA_WORLD ERRB_WORLD ERRTHETA_WORLD FLAGS_EXTRACTION "
    "FLAGS_SCAMP FLAGS_IMA FLAGS_SSOS "
)
SEED_COLUMNS = _SEED.split()


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> PaintedNight:
    """Two interleaved fields of five exposures, OBJECT misspelled and missing; read-only."""
    return shared_sky(tmp_path_factory, **NIGHT)


@pytest.fixture(scope="module")
def first(night: PaintedNight, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The night replayed once; tests that write copy it."""
    return run(tmp_path_factory.mktemp("first") / "out", night.directory, reference=night.refcat)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> PaintedNight:
    """One field of four exposures; read-only."""
    return shared_sky(tmp_path_factory, **ONE_FIELD)


def found(outcome: Outcome, night: PaintedNight) -> list[str]:
    """Movers found, and that nothing else was."""
    comparison = compare_with_truth(outcome.candidates, night.truth)
    assert comparison.n_false == 0
    return sorted(comparison.movers.loc[comparison.movers["found"], "id"])


def field_files(night: PaintedNight, field: str) -> list[Path]:
    rows = night.exposures[night.exposures["field"] == field]
    return [night.directory / path for path in rows["path"]]


def rewritten(night: PaintedNight, folder: Path, change) -> Path:
    """Copies of single-image exposures, each header changed in place by `change(header)`."""
    folder.mkdir(parents=True)
    for path in night.paths:
        with fits.open(path) as hdus:
            data, header = hdus[0].data.copy(), hdus[0].header.copy()
        change(header)
        fits.PrimaryHDU(data, header).writeto(folder / path.name)
    return folder


# ---- what a night gives ----------------------------------------------------------------------------------


def test_fields_are_found_by_pointing(night: PaintedNight, first: Outcome) -> None:
    assert first.states == {"F01": "done", "F02": "done"}
    assert first.done.n_extracted == 10
    truth = night.truth[["image", "field"]].drop_duplicates()
    field_of = dict(truth.itertuples(index=False))
    table = first.candidates
    assert (table["IMAGE_FILENAME"].map(field_of) == table["FIELD"]).all()


def test_movers_are_found_and_nothing_else(night: PaintedNight, first: Outcome) -> None:
    assert found(first, night) == ["BRIGHT", "OTHER", "QUICK", "SECOND"]
    comparison = compare_with_truth(first.candidates, night.truth)
    assert (comparison.movers["n_linked"] == 5).all()


def test_measured_as_painted(night: PaintedNight, first: Outcome) -> None:
    """Positions, rates and times against the truth, not only the identity."""
    joined = first.candidates.merge(night.truth, left_on="IMAGE_FILENAME", right_on="image")
    xi = (joined["RA"] - joined["ra"]) * np.cos(np.radians(joined["dec"])) * 3600
    eta = (joined["DEC"] - joined["dec"]) * 3600
    mine = joined[np.hypot(xi, eta) < 2.0]
    assert len(mine) == len(first.candidates)
    assert np.hypot(xi, eta)[mine.index].median() < 0.15
    assert (mine["MID_EXPOSURE_MJD"] - mine["mjd_mid"]).abs().max() * 86400 < 0.01
    assert (mine["PM"] - mine["rate"]).abs().max() < 1.0


def test_table_has_the_seeds_columns(first: Outcome) -> None:
    table = first.candidates
    assert set(SEED_COLUMNS) <= set(table.columns)
    names = [c.name for c in CANDIDATE_COLUMNS if c.name in table.columns]
    assert list(table.columns)[: len(names)] == names
    assert {"FIELD", "CANDIDATE"} <= set(table.columns)
    assert table.groupby("CANDIDATE")[["FIELD", "SOURCE_NUMBER"]].nunique().eq(1).all(axis=None)


def test_folders(first: Outcome) -> None:
    assert first.nights == ["2026-11-14"]
    night = first.target / "2026-11-14"
    assert {"F01", "F02", "candidates.csv", "drafts"} <= {p.name for p in night.iterdir()}
    assert {p.name for p in night.iterdir() if p.is_dir()} == {"F01", "F02", "drafts"}
    for field in ("F01", "F02"):
        assert sorted(p.name for p in (night / field).iterdir()) == [
            "cats",
            "checkplots",
            "cutouts",
            "known.csv",
            "logs",
            "regions",
        ]
        for name in ("full_1.cat", "merged_1.cat", "scamp.xml", "candidates.csv"):
            assert (night / field / "cats" / name).stat().st_size > 0
        assert len(list((night / field / "cats").glob("2026*.cat"))) == 5
        told = (night / field / "logs" / "known.log").read_text()
        assert "unchecked: CROSSMATCH_SKYBOT is False" in told
        assert "in the field" not in told  # nobody was asked
    assert not list(first.target.rglob("*.new")) + list(first.target.rglob("*.old"))


def test_draft_has_every_detection(first: Outcome) -> None:
    lines = first.draft.splitlines()
    observations = [line for line in lines if line.endswith("493") and line[14:15] == "C"]
    assert lines[0] == "COD 493"
    assert all(len(line) == 80 for line in observations)
    assert len(observations) == len(first.candidates) == 20


def test_each_linked_source_is_a_candidate_or_in_the_ledger(first: Outcome) -> None:
    for linked in first.sequences:
        ledger = first.ledger(linked.sequence.field)
        kept = first.candidates.query("FIELD == @linked.sequence.field")["SOURCE_NUMBER"].unique()
        assert not set(kept) & set(ledger["source_number"])
        assert len(kept) + len(ledger) == linked.result.n_sources


def test_inputs_are_not_touched(one: PaintedNight, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    for path in one.paths:
        shutil.copyfile(path, folder / path.name)
        (folder / path.name).chmod(0o444)
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}
    run(tmp_path / "out", folder, reference=one.refcat)
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()} == before


def test_cutouts_and_checkplots(one: PaintedNight, tmp_path: Path) -> None:
    out = run(
        tmp_path / "out",
        one.directory,
        reference=one.refcat,
        EXTRACT_CUTOUTS=True,
        CUTOUT_SIZE=32,
        CHECKPLOTS="SKYBOT_PM",
    )
    folder = out.target / out.night / "F01"
    assert len(list((folder / "cutouts").glob("*.fits"))) == len(out.candidates) == 8
    # No known objects were asked for: there is nothing to plot, and that is no failure (defect 3).
    assert out.states == {"F01": "done"}
    # Our own cutouts are not taken for exposures when a person points replay at the target.
    again = run(
        out.target,
        one.directory,
        out.target,
        reference=one.refcat,
        EXTRACT_CUTOUTS=True,
        CUTOUT_SIZE=32,
        CHECKPLOTS="SKYBOT_PM",
    )
    assert again.done.n_files == len(one.paths)
    assert not again.done.parked_files


# ---- again ---------------------------------------------------------------------------------------------


def copied(first: Outcome, target: Path) -> Path:
    """A target to go on with; the store's paths are those of the copy."""
    shutil.copytree(first.target, target)
    with Store(target / STORE_NAME) as store:
        for table in ("catalogues", "sequences", "drafts"):
            column = "folder" if table == "sequences" else "path"
            store.db.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)", [str(first.target), str(target)]
            )
        store.db.conn.commit()
    return target


def test_second_run_does_nothing(night: PaintedNight, first: Outcome, tmp_path: Path) -> None:
    target = copied(first, tmp_path / "out")
    made = {p: p.stat().st_mtime_ns for p in target.rglob("cats/*")}
    again = run(target, night.directory, reference=night.refcat)
    assert (again.done.n_extracted, again.done.n_reused) == (0, 10)
    assert [s.skipped for s in again.sequences] == [True, True]
    assert {p: p.stat().st_mtime_ns for p in target.rglob("cats/*")} == made
    assert again.results == first.results


def test_changed_filter_links_again_only(night: PaintedNight, first: Outcome, tmp_path: Path) -> None:
    target = copied(first, tmp_path / "out")
    changed = run(target, night.directory, reference=night.refcat, PM_UP=35)
    assert changed.done.n_extracted == 0
    assert [s.skipped for s in changed.sequences] == [False, False]
    assert changed.candidates["PM"].max() <= 35 < first.candidates["PM"].max()
    back = run(target, night.directory, reference=night.refcat)
    assert back.done.n_extracted == 0
    assert back.results == first.results


def test_changed_sextractor_extracts_again(night: PaintedNight, first: Outcome, tmp_path: Path) -> None:
    target = copied(first, tmp_path / "out")
    from ssosd.plumbing.resources import shipped

    setup = tmp_path / "mine.sex"
    setup.write_text(shipped("semp/ssos.sex").read_text() + "\nMAG_ZEROPOINT 25.0\n")
    changed = run(target, night.directory, reference=night.refcat, SEX_CONFIG=setup)
    assert (changed.done.n_extracted, changed.done.n_reused) == (10, 0)
    shift = changed.candidates["MAG"].to_numpy() - first.candidates["MAG"].to_numpy()
    assert shift == pytest.approx(25.0 - first_zero_point(), abs=1e-3)
    back = run(target, night.directory, reference=night.refcat)
    assert back.done.n_extracted == 0  # the former catalogues are still there
    assert back.results == first.results


def first_zero_point() -> float:
    from ssosd.plumbing.resources import shipped

    lines = shipped("semp/ssos.sex").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("MAG_ZEROPOINT")))


def test_comment_in_the_configuration_changes_nothing(
    night: PaintedNight, first: Outcome, tmp_path: Path
) -> None:
    target = copied(first, tmp_path / "out")
    config = tmp_path / "mine.ssos"
    config.write_text("# nothing but a comment\nPM_UP   2000.0   # spelled otherwise\n")
    again = run(target, night.directory, reference=night.refcat, config=config)
    assert [s.skipped for s in again.sequences] == [True, True]


@pytest.mark.parametrize(
    "missing", [{"F01": 0, "F02": 2}, {"F02": 4}], ids=["earliest and middle", "latest of one field"]
)
def test_exposures_added_later(
    night: PaintedNight, first: Outcome, tmp_path: Path, missing: dict[str, int]
) -> None:
    """Re-running in the same target equals a fresh run: the seed mixes names and times up (defect 11).

    A field that grows leaves the other alone.
    """
    late = [field_files(night, field)[k] for field, k in missing.items()]
    raw = link(tmp_path / "raw", [p for p in night.paths if p not in late])
    before = run(tmp_path / "out", raw, reference=night.refcat)
    assert before.results != first.results
    link(raw, late)
    after = run(tmp_path / "out", raw, reference=night.refcat)
    assert (after.done.n_extracted, after.done.n_reused) == (len(late), 10 - len(late))
    assert {s.sequence.field: s.skipped for s in after.sequences} == {
        field: field not in missing for field in ("F01", "F02")
    }
    assert after.results == first.results


def test_exposure_taken_away(one: PaintedNight, tmp_path: Path) -> None:
    """A file that is gone is no longer part of the night."""
    raw = link(tmp_path / "raw", one.paths)
    before = run(tmp_path / "out", raw, reference=one.refcat).results
    (raw / one.paths[1].name).unlink()
    after = run(tmp_path / "out", raw, reference=one.refcat)
    fresh = run(tmp_path / "fresh", raw, reference=one.refcat)
    assert after.results == fresh.results != before


def test_changed_file_is_another_exposure(one: PaintedNight, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for path in one.paths:
        shutil.copyfile(path, raw / path.name)
    run(tmp_path / "out", raw, reference=one.refcat)
    with fits.open(raw / one.paths[0].name, mode="update") as hdus:
        hdus[0].header["FILTER"] = "z"
    after = run(tmp_path / "out", raw, reference=one.refcat)
    assert after.done.n_extracted == 1
    assert set(after.candidates["FILTER"]) == {"r", "z"}
    assert after.results == run(tmp_path / "fresh", raw, reference=one.refcat).results


def test_order_of_arrival_and_of_arguments(night: PaintedNight, first: Outcome, tmp_path: Path) -> None:
    """Four at a time, latest first; and all at once in a strange order, into a target of their own."""
    raw = tmp_path / "raw"
    for start in (8, 4, 0):
        link(raw, night.paths[start : start + 4])
        last = run(tmp_path / "out", raw, reference=night.refcat)
    assert last.results == first.results
    shuffled = [night.paths[i] for i in np.random.default_rng(3).permutation(len(night.paths))]
    assert run(tmp_path / "other", *shuffled, reference=night.refcat).results == first.results


def test_many_workers_change_nothing(night: PaintedNight, first: Outcome, tmp_path: Path) -> None:
    assert run(tmp_path / "out", night.directory, reference=night.refcat, WORKERS=4).results == first.results


@pytest.mark.parametrize("when", ["first sequence", "second extraction"])
def test_interrupted_and_resumed(
    night: PaintedNight, first: Outcome, tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if when == "first sequence":

        def stop(_: object) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "out", night.directory, reference=night.refcat, on_sequence=stop)
    else:
        from ssosd.pipeline import Corridor

        record, count = Corridor.record_extracted, iter(range(10))

        def fail(self: Corridor, *arguments: object, **named: object) -> None:
            if next(count) == 2:
                raise KeyboardInterrupt
            record(self, *arguments, **named)

        with monkeypatch.context() as patch:
            patch.setattr(Corridor, "record_extracted", fail)
            with pytest.raises(KeyboardInterrupt):
                run(tmp_path / "out", night.directory, reference=night.refcat)
    resumed = run(tmp_path / "out", night.directory, reference=night.refcat)
    ahead = 1  # of the second sequence, begun before the first was ready to be linked
    assert resumed.done.n_reused == (5 + ahead if when == "first sequence" else 2)
    assert resumed.results == first.results
    assert not list((resumed.target / ".ssosd" / "scratch").iterdir())


# ---- parts of nights -----------------------------------------------------------------------------------


def test_only_one_field(night: PaintedNight, first: Outcome, tmp_path: Path) -> None:
    out = run(tmp_path / "out", night.directory, reference=night.refcat, field="F02")
    assert out.done.n_extracted == 5
    mine = first.candidates.query("FIELD == 'F02'").reset_index(drop=True)
    pd.testing.assert_frame_equal(out.candidates, mine)
    all_of_it = run(tmp_path / "out", night.directory, reference=night.refcat)
    assert (all_of_it.done.n_extracted, all_of_it.done.n_reused) == (5, 5)
    assert all_of_it.results == first.results
    with pytest.raises(BadInput, match="no field 'F03'"):
        run(tmp_path / "out", night.directory, reference=night.refcat, field="F03")


def test_only_one_night(one: PaintedNight, tmp_path: Path) -> None:
    raw = link(tmp_path / "raw", one.paths)

    def next_day(header: fits.Header) -> None:
        header["DATE-OBS"] = header["DATE-OBS"].replace("-11-14T", "-11-20T").replace("-11-15T", "-11-21T")

    rewritten(one, raw / "later", next_day)
    out = run(tmp_path / "out", raw, reference=one.refcat, night="2026-11-20")
    assert out.nights == ["2026-11-20"]
    both = run(tmp_path / "out", raw, reference=one.refcat)
    assert both.nights == ["2026-11-14", "2026-11-20"]
    assert (both.done.n_extracted, both.done.n_reused) == (4, 4)
    with pytest.raises(BadInput, match="no exposures of the night 2026-11-15"):
        run(tmp_path / "out", raw, reference=one.refcat, night="2026-11-15")


def test_target_of_another_night_is_left_alone(one: PaintedNight, tmp_path: Path) -> None:
    """Replaying a second night into a target whose first night's files are not given."""
    out = run(tmp_path / "out", one.directory, reference=one.refcat)
    before = out.csv.read_bytes()

    def next_day(header: fits.Header) -> None:
        header["DATE-OBS"] = header["DATE-OBS"].replace("-11-14T", "-11-20T").replace("-11-15T", "-11-21T")

    later = rewritten(one, tmp_path / "later", next_day)
    both = run(tmp_path / "out", later, reference=one.refcat)
    assert both.nights == ["2026-11-14", "2026-11-20"]
    assert out.target.joinpath("2026-11-14", "candidates.csv").read_bytes() == before
    assert [s.sequence.night for s in both.sequences] == ["2026-11-20"]  # the other one is not its business


# ---- files and headers of all kinds ----------------------------------------------------------------------


def test_spaces_in_all_paths(one: PaintedNight, tmp_path: Path) -> None:
    """A blank in a path breaks the seed (defect 9)."""
    raw = link(tmp_path / "my raw data", [])
    for path in one.paths:
        (raw / path.name.replace("_", " ")).symlink_to(path)
    folder = tmp_path / "my set up"
    folder.mkdir()
    shutil.copyfile(one.refcat, folder / "ref cat.cat")
    config = folder / "my config.ssos"
    config.write_text(
        'ASTREF_CATALOG "ref cat.cat"\nCROSSID_RADIUS 15\nCROSSMATCH_SKYBOT False\nCUTOUT_SIZE 24\n'
        "FILTER_BRIGHT_SOURCES False\nFIXED_APER_MAGS True\nREFERENCE_FILTER r\nOBSERVATORY_CODE 493\n"
    )
    target = tmp_path / "my results"
    result = CliRunner().invoke(main, ["replay", str(raw), "-c", str(config), "-t", str(target)])
    assert result.exit_code == 0, result.output
    table = pd.read_csv(target / "2026-11-14" / "candidates.csv")
    assert len(table) == 8
    assert table["MAG_APER"].notna().all()
    assert len(list((target / "2026-11-14" / "F01" / "cutouts").glob("*.fits"))) == 8


@pytest.fixture(scope="module")
def mosaic(tmp_path_factory: pytest.TempPathFactory) -> PaintedNight:
    """Three chips behind an empty primary; a mover on the first and on the third chip; read-only."""
    first, second = NIGHT_MOVERS[:2]
    return shared_sky(
        tmp_path_factory,
        chips=(3, 1),
        size_px=(256, 384),
        gap_px=20,
        stars=140,
        cadence_min=8.0,
        placed=(
            replace(first, east_arcsec=260.0, north_arcsec=20.0),
            replace(second, east_arcsec=-280.0, north_arcsec=-30.0),
        ),
    )


def test_multi_extension_with_an_empty_primary(mosaic: PaintedNight, tmp_path: Path) -> None:
    """The seed stops at NAXIS1 of the primary, and calls every extension 1 (defect 4)."""
    out = run(
        tmp_path / "out",
        mosaic.directory,
        reference=mosaic.refcat,
        EXTRACT_CUTOUTS=True,
        CUTOUT_SIZE=32,
    )
    assert found(out, mosaic) == ["BRIGHT", "QUICK"]
    extensions = out.candidates.groupby("CANDIDATE")["EXTENSION"].unique().map(list).tolist()
    assert sorted(extensions) == [[1], [3]]
    assert not [note for s in out.sequences for note in s.result.notes]
    cutouts = sorted((out.target / out.night / "F01" / "cutouts").glob("*.fits"))
    assert len(cutouts) == len(out.candidates)
    for path in cutouts:  # each from its own chip: the mover is in the middle
        data = fits.getdata(path)
        core, median = data[12:20, 12:20], np.median(data)
        assert core.max() - median > 0.8 * (data.max() - median)


def test_list_of_extensions(mosaic: PaintedNight, tmp_path: Path) -> None:
    out = run(tmp_path / "out", mosaic.directory, reference=mosaic.refcat, SCI_EXTENSION="1,3")
    assert found(out, mosaic) == ["BRIGHT", "QUICK"]
    only = run(tmp_path / "out", mosaic.directory, reference=mosaic.refcat, SCI_EXTENSION="3")
    assert only.done.n_extracted == 4  # another reading of the same files
    assert set(only.candidates["EXTENSION"]) == {3}
    assert (
        only.results
        == run(tmp_path / "fresh", mosaic.directory, reference=mosaic.refcat, SCI_EXTENSION="3").results
    )


def _zero_off_diagonal(header: fits.Header) -> None:
    header["CD1_2"] = 0.0
    header["CD2_1"] = 0.0


def _cdelt(header: fits.Header) -> None:
    for name in ("CD1_1", "CD1_2", "CD2_1", "CD2_2"):
        del header[name]
    header.update({"CDELT1": -1.0 / 3600, "CDELT2": 1.0 / 3600, "CROTA2": 0.0})


def _pc(header: fits.Header) -> None:
    _cdelt(header)
    del header["CROTA2"]
    header.update({"PC1_1": 1.0, "PC1_2": 0.0, "PC2_1": 0.0, "PC2_2": 1.0})


def _split_time(header: fits.Header) -> None:
    header["DATE-OBS"], header["UTC-OBS"] = header["DATE-OBS"].split("T")


@pytest.mark.parametrize(
    "change", [_zero_off_diagonal, _cdelt, _pc], ids=["CD1_2 = 0", "CDELT, CROTA", "CDELT, PC"]
)
def test_ways_to_write_the_wcs(one: PaintedNight, tmp_path: Path, change) -> None:
    """Each of them makes the seed refuse the image (defect 8)."""
    with fits.open(one.paths[0]) as hdus:
        scale = hdus[0].header["CD2_2"]
    assert scale == pytest.approx(1.0 / 3600, rel=1e-3)
    out = run(tmp_path / "out", rewritten(one, tmp_path / "raw", change), reference=one.refcat)
    assert found(out, one) == ["BRIGHT", "QUICK"]


def test_date_and_time_apart(one: PaintedNight, tmp_path: Path) -> None:
    raw = rewritten(one, tmp_path / "raw", _split_time)
    out = run(tmp_path / "out", raw, reference=one.refcat, DATE__OBS="DATE-OBS+UTC-OBS")
    assert found(out, one) == ["BRIGHT", "QUICK"]


def test_filter_trail_with_filter_pixel(one: PaintedNight, tmp_path: Path) -> None:
    """The seed joins its catalogues twice and stops (defect 5)."""
    out = run(
        tmp_path / "out",
        one.directory,
        reference=one.refcat,
        FILTER_TRAIL=True,
        RATIO=0.01,
        FILTER_PIXEL=True,
    )
    steps = [name for name, _ in out.sequences[0].result.funnel]
    assert steps[-4:] == ["FILTER_PIXEL", "FILTER_TRAIL", "LINKER", "RECOVER"]
    assert found(out, one) == ["BRIGHT", "QUICK"]


def test_weight_maps_are_used(one: PaintedNight, tmp_path: Path) -> None:
    """The seed hands SExtractor a keyword it does not know, and no weights (defect 13)."""
    weights = tmp_path / "weights"
    weights.mkdir()
    with fits.open(one.paths[0]) as hdus:
        shape = hdus[0].data.shape
    weight = np.ones(shape, dtype=np.float32)
    weight[shape[0] // 2 :] = 0.0  # the upper half is bad
    for path in one.paths:
        fits.PrimaryHDU(weight).writeto(weights / f"{path.stem}_0.weight")
    plain = run(tmp_path / "out", one.directory, reference=one.refcat)
    out = run(tmp_path / "out", one.directory, reference=one.refcat, WEIGHT_IMAGES=weights)
    assert out.done.n_extracted == 4
    assert plain.sequences[0].result.n_sources > 1.4 * out.sequences[0].result.n_sources
    weight[:] = 1.0
    fits.PrimaryHDU(weight).writeto(weights / f"{one.paths[0].stem}_0.weight", overwrite=True)
    changed = run(tmp_path / "out", one.directory, reference=one.refcat, WEIGHT_IMAGES=weights)
    assert changed.done.n_extracted == 1  # the weight map is part of what a catalogue depends on


def test_missing_weight_map_parks_the_exposure(one: PaintedNight, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    with fits.open(one.paths[0]) as hdus:
        weight = np.ones(hdus[0].data.shape, dtype=np.float32)
    for path in one.paths[1:]:
        fits.PrimaryHDU(weight).writeto(weights / f"{path.stem}.weight.fits")
    out = run(tmp_path / "out", one.directory, reference=one.refcat, WEIGHT_IMAGES=weights)
    assert len(out.sequences[0].sequence.exposures) == 3
    assert [name for name, reason in out.done.parked_exposures if "no weight image" in reason] == [
        one.paths[0].name
    ]


def test_files_of_all_suffixes(one: PaintedNight, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    a, b, c, d = one.paths
    with fits.open(a) as hdus:
        compressed = fits.CompImageHDU(hdus[0].data, hdus[0].header, compression_type="RICE_1")
        fits.HDUList([fits.PrimaryHDU(), compressed]).writeto(raw / f"{a.stem}.fits.fz")
    (raw / f"{b.stem}.fits.gz").write_bytes(gzip.compress(b.read_bytes()))
    shutil.copyfile(c, raw / f"{c.stem}.fit")
    shutil.copyfile(d, raw / f"{d.stem}.FTS")
    out = run(tmp_path / "out", raw, reference=one.refcat)
    plain = run(tmp_path / "plain", one.directory, reference=one.refcat)
    assert out.done.n_extracted == 4
    columns = ["CANDIDATE", "CATALOG_NUMBER", "MID_EXPOSURE_MJD"]
    pd.testing.assert_frame_equal(out.candidates[columns], plain.candidates[columns])
    for name in ("RA", "DEC", "MAG"):
        assert out.candidates[name].to_numpy() == pytest.approx(plain.candidates[name].to_numpy(), abs=1e-7)


# ---- nights that go wrong in part --------------------------------------------------------------------------


def test_no_candidate_is_a_normal_night(one: PaintedNight, tmp_path: Path) -> None:
    """The seed stops with an exception and leaves no table (defect 6)."""
    arguments = [
        "replay",
        str(one.directory),
        "-t",
        str(tmp_path / "out"),
        "--PM_LOW",
        "900",
        "--PM_UP",
        "901",
    ]
    arguments += ["--ASTREF_CATALOG", str(one.refcat), "--CROSSMATCH_SKYBOT", "False"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "no candidates" in result.output
    text = (tmp_path / "out" / "2026-11-14" / "candidates.csv").read_text()
    assert text.count("\n") == 1
    assert set(SEED_COLUMNS) | {"FIELD", "CANDIDATE"} <= set(text.strip().split(","))


def test_frame_of_another_sky_is_dropped(night: PaintedNight, one: PaintedNight, tmp_path: Path) -> None:
    """Its header lies: the pixels are of the other field. The sequence goes on without it."""
    raw = link(tmp_path / "raw", field_files(night, "F01")[:4])
    liar = field_files(night, "F01")[4]
    with fits.open(liar) as hdus:
        header = hdus[0].header.copy()
    with fits.open(field_files(night, "F02")[4]) as hdus:
        fits.PrimaryHDU(hdus[0].data.copy(), header).writeto(raw / liar.name)
    out = run(tmp_path / "out", raw, reference=night.refcat)
    (linked,) = out.sequences
    (dropped,) = linked.result.dropped
    assert "does not match the reference catalogue" in dropped.reason
    assert [note for note in linked.result.notes if liar.name in note and dropped.reason in note]
    assert sorted(linked.result.catalog_numbers.values()) == [1, 2, 3, 4]
    assert liar.name not in set(out.candidates["IMAGE_FILENAME"])
    assert found(out, night) == ["BRIGHT", "QUICK"]
    with Store(out.target / STORE_NAME) as store:
        (row,) = store.rows("SELECT * FROM sequence_exposures WHERE dropped_because IS NOT NULL")
    assert row["dropped_because"] == dropped.reason
    log = (out.target / out.night / "F01" / "logs" / "sequence.log").read_text()
    assert liar.name in log


def test_truncated_frame_is_parked(one: PaintedNight, tmp_path: Path) -> None:
    """The seed loses the whole run (defect 7)."""
    raw = link(tmp_path / "raw", one.paths[1:])
    whole = one.paths[0].read_bytes()
    (raw / one.paths[0].name).write_bytes(whole[: len(whole) // 2])
    out = run(tmp_path / "out", raw, reference=one.refcat, DETECTIONS="1,2")
    (parked,) = out.done.parked_files
    assert parked.path.name == one.paths[0].name
    assert out.states == {"F01": "done"}
    assert set(out.candidates["CATALOG_NUMBER"]) == {1, 2, 3}
    (raw / one.paths[0].name).write_bytes(whole)  # the copy is finished
    healed = run(tmp_path / "out", raw, reference=one.refcat, DETECTIONS="1,2")
    assert not healed.done.parked_files
    fresh = run(tmp_path / "fresh", raw, reference=one.refcat, DETECTIONS="1,2")
    assert healed.results == fresh.results


def test_other_bad_files_are_parked_with_their_reason(one: PaintedNight, tmp_path: Path) -> None:
    raw = link(tmp_path / "raw", one.paths)
    (raw / "notes.fits").write_text("no image, only words\n")
    (raw / "empty.fits").write_bytes(b"")
    with fits.open(one.paths[0]) as hdus:
        data, header = hdus[0].data.copy(), hdus[0].header.copy()
    for keyword, name in (("CRVAL1", "nowcs.fits"), ("DATE-OBS", "notime.fits"), ("EXPTIME", "noexp.fits")):
        bare = header.copy()
        del bare[keyword]
        fits.PrimaryHDU(data, bare).writeto(raw / name)
    out = run(tmp_path / "out", raw, reference=one.refcat)
    reasons = {t.path.name: str(t.error) for t in out.done.parked_files}
    assert sorted(reasons) == ["empty.fits", "noexp.fits", "notes.fits", "notime.fits", "nowcs.fits"]
    assert all(name in reason for name, reason in reasons.items())
    assert "DATE-OBS" in reasons["notime.fits"]
    assert "EXPTIME" in reasons["noexp.fits"]
    assert found(out, one) == ["BRIGHT", "QUICK"]


def test_calibration_frames_are_ignored_visibly(one: PaintedNight, tmp_path: Path) -> None:
    raw = link(tmp_path / "raw", one.paths)
    data = np.zeros((64, 64), dtype=np.float32)
    for name, kind in (("bias_001.fits", "Bias Frame"), ("f1.fits", "FLAT"), ("dark-3.fits", None)):
        header = fits.Header({"IMAGETYP": kind} if kind else {})
        fits.PrimaryHDU(data, header).writeto(raw / name)
    out = run(tmp_path / "out", raw, reference=one.refcat)
    assert not out.done.parked_files
    with Store(out.target / STORE_NAME) as store:
        rows = store.rows("SELECT path, reason FROM files WHERE outcome = 'ignored'")
    assert sorted(Path(r["path"]).name for r in rows) == ["bias_001.fits", "dark-3.fits", "f1.fits"]
    assert all("calibration" in r["reason"] for r in rows)
    assert out.done.n_ignored == 3
    result = CliRunner().invoke(
        main,
        [
            *("replay", str(raw), "-t", str(out.target), "--ASTREF_CATALOG", str(one.refcat)),
            *("--CROSSMATCH_SKYBOT", "False", "--PM_UP", "1"),
        ],
    )
    assert "7 files (3 of them left out), 0 extracted" in " ".join(result.output.split())


def test_duplicates_are_one_exposure(one: PaintedNight, tmp_path: Path) -> None:
    raw = link(tmp_path / "raw", one.paths)
    alone = run(tmp_path / "alone", raw, reference=one.refcat)
    shutil.copyfile(one.paths[1], raw / "another_name.fits")
    (raw / "sub").mkdir()
    (raw / "sub" / one.paths[2].name).symlink_to(one.paths[2])
    out = run(tmp_path / "out", raw, reference=one.refcat)
    assert out.done.n_files == 6
    assert out.done.n_extracted == 4
    columns = ["SOURCE_NUMBER", "RA", "DEC", "MID_EXPOSURE_MJD", "MAG", "CANDIDATE"]
    pd.testing.assert_frame_equal(out.candidates[columns], alone.candidates[columns])


def test_another_way_to_the_folder_makes_no_copies(
    first: Outcome, night: PaintedNight, tmp_path: Path
) -> None:
    """The same files by a link or by `..`: nothing is new, nothing is linked again."""
    shutil.copytree(first.target, tmp_path / "out")
    (tmp_path / "away").symlink_to(night.directory.parent)
    by_a_link = tmp_path / "away" / night.directory.name
    for way in (by_a_link, night.directory / ".." / night.directory.name):
        again = run(tmp_path / "out", way, reference=night.refcat)
        assert all(linked.skipped for linked in again.sequences), way
        with Store(again.target / STORE_NAME) as store:
            assert {row.outcome for row in store.files().values()} == {"exposure"}, way


def test_duplicate_goes_and_the_exposure_stays(one: PaintedNight, tmp_path: Path) -> None:
    raw = link(tmp_path / "raw", one.paths)
    shutil.copyfile(one.paths[1], raw / "0_first_in_alphabet.fits")
    run(tmp_path / "out", raw, reference=one.refcat)
    (raw / "0_first_in_alphabet.fits").unlink()
    after = run(tmp_path / "out", raw, reference=one.refcat)
    assert after.done.n_extracted == 0
    assert after.results == run(tmp_path / "fresh", raw, reference=one.refcat).results


def test_duplicate_comes_later_with_an_earlier_name(one: PaintedNight, tmp_path: Path) -> None:
    raw = link(tmp_path / "raw", one.paths)
    run(tmp_path / "out", raw, reference=one.refcat)
    shutil.copyfile(one.paths[1], raw / "0_first_in_alphabet.fits")
    after = run(tmp_path / "out", raw, reference=one.refcat)
    assert after.results == run(tmp_path / "fresh", raw, reference=one.refcat).results


def test_files_that_exclude_refuses_later_are_taken_out(night: PaintedNight, tmp_path: Path) -> None:
    """Those below what is given: what another folder gave to the target is not its business."""
    mine, other = (link(tmp_path / name, field_files(night, name)) for name in ("F01", "F02"))
    whole = run(tmp_path / "out", mine, other, reference=night.refcat)
    bad = ",".join(sorted(folder.iterdir())[3].name for folder in (mine, other))
    less = run(tmp_path / "out", mine, reference=night.refcat, EXCLUDE=bad)
    assert less.candidates.groupby("FIELD")["CATALOG_NUMBER"].nunique().to_dict() == {"F01": 4, "F02": 5}
    named = run(tmp_path / "out", mine, mine / bad.split(",")[0], reference=night.refcat, EXCLUDE=bad)
    assert named.results == whole.results  # a file that is named is taken whatever its name
    few = run(tmp_path / "out", mine, other, reference=night.refcat, INCLUDE=bad)
    assert set(few.states.values()) == {"parked"}
    assert few.done.n_files == 2
    again = run(tmp_path / "out", mine, other, reference=night.refcat)
    assert again.results == whole.results


def test_same_name_in_two_folders(one: PaintedNight, tmp_path: Path) -> None:
    """Cameras that count from 1 every hour: equal names, different exposures."""
    raw = tmp_path / "raw"
    for number, path in enumerate(one.paths):
        (raw / str(number)).mkdir(parents=True)
        (raw / str(number) / "image.fits").symlink_to(path)
    out = run(tmp_path / "out", raw, reference=one.refcat, EXTRACT_CUTOUTS=True, CUTOUT_SIZE=24)
    assert found(out, one) == ["BRIGHT", "QUICK"]
    assert len(list((out.target / out.night / "F01" / "cutouts").glob("*.fits"))) == 8


def test_too_few_exposures(night: PaintedNight, tmp_path: Path) -> None:
    """A field of two exposures is told of; the other one is not held up."""
    raw = link(tmp_path / "raw", [*field_files(night, "F01"), *field_files(night, "F02")[:2]])
    out = run(tmp_path / "out", raw, reference=night.refcat)
    assert out.states == {"F01": "done", "F02": "parked"}
    (parked,) = [s for s in out.sequences if s.error]
    assert "2 usable exposures, 3 are needed" in str(parked.error)
    link(raw, field_files(night, "F02")[2:])
    assert set(run(tmp_path / "out", raw, reference=night.refcat).states.values()) == {"done"}


def test_field_that_cannot_be_solved_does_not_cost_the_night(night: PaintedNight, tmp_path: Path) -> None:
    out = run(tmp_path / "out", night.directory, reference=night.refcats["F01"])
    assert out.states == {"F01": "done", "F02": "parked"}
    assert set(out.candidates["FIELD"]) == {"F01"}
    healed = run(tmp_path / "out", night.directory, reference=night.refcat)
    assert set(healed.states.values()) == {"done"}
    assert healed.done.n_extracted == 0
