"""The inspector over real HTTP on the loopback interface: who is refused, what verdicts do, where they go."""

from __future__ import annotations

import asyncio
import threading
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
from starlette.responses import PlainTextResponse

from ssosd.analysis.cutouts import cutout_name
from ssosd.analysis.stamps import in_noise, read_stamp
from ssosd.errors import BadInput, Misconfigured
from ssosd.plumbing.lock import TargetLock
from ssosd.reports.recovered import FILE_NAME as RECOVERED
from ssosd.store import STORE_NAME, Store, utc_now
from ssosd.web.describe import by_urgency
from ssosd.web.guard import Guard
from ssosd.web.opening import find_meant
from ssosd.web.serve import open_socket
from tests.inspecting import (
    copied,
    inspecting,
    linked_anew,
    said_in_csv,
    said_in_store,
    without_a_detection,
)

pytestmark = pytest.mark.binaries
#: A place where no candidate is.
NOWHERE = {"mjd": 61358.8, "ra": 10.0, "dec": -20.0}


@pytest.fixture(scope="module")
def client(inspectable, tmp_path_factory):
    """An inspector that no test gives verdicts to."""
    with inspecting(copied(inspectable, tmp_path_factory.mktemp("asked") / "target")) as opened:
        yield opened


@pytest.fixture(scope="module")
def names(inspectable):
    found = sorted(inspectable.candidates["CANDIDATE"].unique())
    assert len(found) == 2
    return found


# ---- who may talk to it -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("", 303),
        ("NIGHT/", 200),
        ("NIGHT/candidates", 200),
        ("NIGHT/changes?after=0", 200),
        ("NIGHT/changes?after=x", 400),
        ("NIGHT/changes?after=9999999999999999999999", 400),
        ("2031-01-01/", 404),
        ("2031-01-01/candidates", 404),
        ("NIGHT/candidates/F99-0001", 404),
        ("NIGHT/candidates/F99-0001/pixels", 404),
        ("..%2f..%2fetc/", 404),
        ("NIGHT/candidates/..%2f..%2fcandidates.csv", 404),
        ("NIGHT/candidates/%2fetc%2fpasswd/pixels", 404),
        ("static/..%2f..%2f..%2fpyproject.toml", 404),
        ("static/../app.py", 404),
        ("static/%2e%2e/app.py", 404),
        ("static/inspector.js", 200),
        ("live/", 200),
        ("live/status", 200),
        ("ssosd.db/", 404),
        ("NIGHT/candidates.csv", 404),
    ],
)
def test_addresses(client, inspectable, path, status):
    answer = client.get(path.replace("NIGHT", inspectable.night))
    assert answer.status == status, answer.body
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_without_the_token_nothing_is_told(client, inspectable):
    for path in (
        "/",
        "/wrong/",
        f"/{inspectable.night}/",
        "/static/style.css",
        client.root[:-2] + "/",
        client.root[:-1] + "x/",
    ):
        answer = client.ask(path)
        assert (answer.status, b"wrong or no token" in answer.body) == (403, True), path


def test_another_name_of_this_machine_is_refused(client, inspectable):
    """DNS rebinding: a page of evil.example whose name has come to mean 127.0.0.1."""
    port = urlsplit(client.url).port
    page = f"{client.root}{inspectable.night}/candidates"
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "", "[::1"):
        assert client.ask(page, Host=host).status == 421, host
    for host in (f"localhost:{port}", "localhost:9999", f"[::1]:{port}"):  # a tunnel has a port of its own
        assert client.ask(page, Host=host).status == 200, host


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("192.0.2.7:8731", 200),
        ("localhost:8731", 200),
        ("192.0.2.8:8731", 421),
        ("evil.example", 421),
        ("", 421),
    ],
)
def test_served_to_a_network_it_answers_by_the_address_that_was_asked(host, status):
    """`--host 0.0.0.0`: which of its addresses is meant is known only when somebody asks."""
    guard = Guard(PlainTextResponse("here"), token="t", hosts={"localhost"})
    answers = []

    async def send(message):
        answers.append(message)

    scope = {"type": "http", "method": "GET", "path": "/t/", "server": ("192.0.2.7", 8731),
             "headers": [(b"host", host.encode())]}  # fmt: skip
    asyncio.run(guard(scope, None, send))
    assert answers[0]["status"] == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_a_post_from_another_page_is_refused_and_changes_nothing(client, inspectable, names, headers, status):
    """Even by one who knows the token."""
    deed = {"candidate": names[0], "verdict": "artifact", "version": 0, "person": "Eve"}
    deed["seen"] = place_of(client, inspectable.night, names[0])
    assert client.post(f"{inspectable.night}/verdicts", deed, **headers).status == status
    assert client.get(f"{inspectable.night}/changes?after=0").json["history"] == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"verdict": "comet"}, 400),
        ({"version": "0"}, 400),
        ({"candidate": 3}, 400),
        ({"candidate": "\ud800"}, 400),
        ({"verdict": "\ud800"}, 400),
        ({"person": ""}, 400),
        ({"person": "x" * 61}, 400),
        ({"person": "a\u0000b"}, 400),
        ({"seen": None}, 400),
        ({"seen": [61358.8, 10.0, 20.0]}, 400),
        ({"seen": {**NOWHERE, "ra": "10"}}, 400),
        ({"seen": {**NOWHERE, "dec": float("nan")}}, 400),
        ({"seen": {**NOWHERE, "mjd": 10**400}}, 400),
        ({"candidate": "F99-0001"}, 409),
        ({"note": "x" * 20_000}, 413),
    ],
)
def test_what_is_no_verdict_is_refused(client, inspectable, names, change, status):
    deed = {"candidate": names[0], "verdict": "artifact", "version": 0, "person": "Ada", "seen": NOWHERE}
    deed |= change
    assert client.post(f"{inspectable.night}/verdicts", deed).status == status
    assert client.get(f"{inspectable.night}/changes?after=0").json["history"] == []


def test_a_body_that_is_nested_beyond_reason_is_refused(client, inspectable):
    headers = {"Content_Type": "application/json", "Origin": "http://" + urlsplit(client.url).netloc}
    path, body = f"{client.root}{inspectable.night}/verdicts", b"[" * 16_000
    assert client.ask(path, method="POST", body=body, **headers).status == 400


def test_reading_addresses_take_no_posts_and_the_others_no_gets(client, inspectable):
    assert client.post("live/status", {}).status == 405
    assert client.post(f"{inspectable.night}/candidates", {}).status == 405
    assert client.get(f"{inspectable.night}/verdicts").status == 405
    assert client.ask(f"{client.root}{inspectable.night}/verdicts", method="DELETE").status in (403, 415, 405)


def test_it_listens_on_the_loopback_interface_alone():
    with open_socket("127.0.0.1", None) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"
        with pytest.raises(Misconfigured, match="cannot be used"):
            open_socket("127.0.0.1", listening.getsockname()[1])
    with pytest.raises(Misconfigured, match="--host: found somewhere"):
        open_socket("somewhere", None)


# ---- what it shows ----------------------------------------------------------------------------------------


def test_pixels_are_the_cutout_s_to_within_a_step(client, inspectable, names):
    detail = client.get(f"{inspectable.night}/candidates/{names[0]}").json
    data = np.frombuffer(client.get(f"{inspectable.night}/candidates/{names[0]}/pixels").body, dtype=np.uint8)
    rows = inspectable.candidates.query("CANDIDATE == @names[0]").sort_values("MID_EXPOSURE_MJD")
    assert len(detail["frames"]) == len(rows) == 4
    assert data.size == sum(f["width"] * f["height"] for f in detail["frames"])
    code, folder = detail["code"], inspectable.target / inspectable.night / rows["FIELD"].iloc[0] / "cutouts"
    for frame, (source, catalog) in zip(
        detail["frames"], rows[["SOURCE_NUMBER", "CATALOG_NUMBER"]].to_numpy(), strict=True
    ):
        noise = in_noise(read_stamp(folder / cutout_name(source, catalog)).pixels)[::-1].ravel()
        part = data[frame["offset"] :][: noise.size].astype(float)
        value = code["soft"] * np.sinh(code["low"] + (part - 1) * code["step"])
        assert ((part == 0) == np.isnan(noise)).all()
        seen = (part > 0) & (noise > -10) & (noise < 10_000)
        assert np.allclose(value[seen], noise[seen], rtol=0.03, atol=0.06)
        # the mark lies on the object: the brightest pixel near it is within two pixels
        x, y = frame["track"][frame["detection"]]
        image = part.reshape(frame["height"], frame["width"])
        row, column = round(y), round(x)
        box = image[row - 4 : row + 5, column - 4 : column + 5]
        peak = np.unravel_index(box.argmax(), box.shape)
        assert np.hypot(*(np.array(peak) - 4 + (row - y, column - x))) < 2.0


def test_what_is_urgent_comes_first_as_in_the_report():
    """Fast or extended and not known, not known, possibly known, known, artifacts; by the score among equals."""
    entry = {"rate": 30.0, "state": "unknown", "score": 3.0, "verdict": None}
    entries = [
        {**entry, "id": name, **changes}
        for name, changes in {
            "known": {"state": "matched", "rate": 900.0},
            "artifact": {"verdict": "artifact", "rate": 900.0},
            "possible": {"state": "possible"},
            "slow": {"score": 9.0},
            "without a score": {"score": None},
            "faster": {"rate": 400.0, "score": 5.0},
            "fast": {"rate": 80.0, "score": 9.0},
            "comet": {"extended": 0.3, "score": 4.0},
        }.items()
    ]
    ordered = ["fast", "faster", "comet", "slow", "without a score", "possible", "known", "artifact"]
    assert [e["id"] for e in by_urgency(entries)] == ordered
    assert by_urgency([]) == []


def test_overview_has_what_the_table_has(client, inspectable, names):
    seen = client.get(f"{inspectable.night}/candidates").json
    assert sorted(c["id"] for c in seen["candidates"]) == names
    for entry in seen["candidates"]:
        rows = inspectable.candidates.query("CANDIDATE == @entry['id']").sort_values("MID_EXPOSURE_MJD")
        assert entry["rate"] == pytest.approx(rows["PM"].iloc[0])
        assert entry["n"] == len(rows)
        assert (entry["ra"], entry["dec"]) == pytest.approx(rows[["RA", "DEC"]].iloc[0].tolist())
        assert (entry["verdict"], entry["version"]) == (None, 0)
        pa = np.radians(entry["pa"])
        assert rows["PMRA"].iloc[0] == pytest.approx(entry["rate"] * np.sin(pa), rel=1e-6)
        assert rows["PMDEC"].iloc[0] == pytest.approx(entry["rate"] * np.cos(pa), rel=1e-6)
    assert seen["nights"] == [{"name": inspectable.night, "candidates": 2, "judged": 0}]


def test_a_cutout_that_is_lost_or_broken_leaves_its_frame_blank_with_a_reason(inspected, inspectable, names):
    rows = inspectable.candidates.query("CANDIDATE == @names[0]").sort_values("MID_EXPOSURE_MJD")
    folder = inspected / inspectable.night / rows["FIELD"].iloc[0] / "cutouts"
    paths = [folder / cutout_name(*pair) for pair in rows[["SOURCE_NUMBER", "CATALOG_NUMBER"]].to_numpy()]
    paths[0].unlink()
    paths[1].write_bytes(b"SIMPLE  =")
    with inspecting(inspected) as client:
        frames = client.get(f"{inspectable.night}/candidates/{names[0]}").json["frames"]
    assert [bool(f["reason"]) for f in frames] == [True, True, False, False]
    assert paths[0].name in frames[0]["reason"]


# ---- verdicts ---------------------------------------------------------------------------------------------


def place_of(client, night, candidate):
    """Where it is seen by who looks now."""
    entries = client.get(f"{night}/candidates").json["candidates"]
    entry = next(entry for entry in entries if entry["id"] == candidate)
    return {name: entry[name] for name in ("mjd", "ra", "dec")}


def give(client, night, candidate, verdict, version=0, person="Ada", seen=None):
    deed = {"candidate": candidate, "verdict": verdict, "version": version, "person": person}
    return client.post(f"{night}/verdicts", deed | {"seen": seen or place_of(client, night, candidate)})


def test_a_verdict_goes_to_store_and_csv_and_undo_takes_it_back(inspected, inspectable, names):
    night, csv = inspectable.night, inspected / inspectable.night / "candidates.csv"
    before = csv.read_bytes()
    with inspecting(inspected) as client:
        first = give(client, night, names[0], "asteroid")
        assert (first.status, first.json["taken"]) == (200, True)
        assert said_in_store(inspected, night) == {names[0]: "asteroid"}  # at once, not at the end
        assert give(client, night, names[1], "artifact").status == 200
        assert give(client, night, names[0], "unknown", first.json["now"]["version"]).status == 200
    assert said_in_store(inspected, night) == said_in_csv(csv) == {names[0]: "unknown", names[1]: "artifact"}
    with Store(inspected / STORE_NAME) as store:
        assert store.is_written(night)
    with inspecting(inspected) as client:
        seen = {
            c["id"]: (c["verdict"], c["person"]) for c in client.get(f"{night}/candidates").json["candidates"]
        }
        assert seen == {names[0]: ("unknown", "Ada"), names[1]: ("artifact", "Ada")}
        back = [client.post(f"{night}/undo", {"person": "Ada"}).json["now"] for _ in range(4)]
        assert [b and (b["candidate"], b["verdict"]) for b in back] == [
            (names[0], "asteroid"), (names[1], None), (names[0], None), None,
        ]  # fmt: skip
    assert said_in_store(inspected, night) == said_in_csv(csv) == {}
    assert csv.read_bytes() == before


def test_two_people_who_have_not_seen_each_other_s_verdict(inspected, inspectable, names):
    night = inspectable.night
    with inspecting(inspected) as one, inspecting(inspected, person="Bob") as two:
        mine = give(one, night, names[0], "asteroid").json["now"]
        theirs = give(two, night, names[0], "artifact", person="Bob")
        assert (theirs.status, theirs.json) == (409, {"taken": False, "now": mine})
        assert two.get(f"{night}/changes?after=0").json["history"][0]["person"] == "Ada"
        assert give(two, night, names[0], "artifact", mine["version"], person="Bob").status == 200
        undone = one.post(f"{night}/undo", {"person": "Ada"})
        assert (undone.status, undone.json["now"]["person"]) == (409, "Bob")
    assert said_in_csv(inspected / night / "candidates.csv") == {names[0]: "artifact"}


def test_a_verdict_of_a_page_from_before_the_linking_falls_on_nothing_else(inspected, inspectable, names):
    night, (one, other) = inspectable.night, names
    with inspecting(inspected) as client:
        seen = {name: place_of(client, night, name) for name in names}
        stamps = client.get(f"{night}/candidates").json["linked"]
        assert client.get(f"{night}/changes?after=0").json["linked"] == stamps
        assert list(stamps) == [inspectable.candidates["FIELD"].iloc[0]]
        linked_anew(inspected, night, {one: other, other: None})
        assert client.get(f"{night}/changes?after=0").json["linked"].keys() == stamps.keys()
        assert client.get(f"{night}/changes?after=0").json["linked"] != stamps
        gone = give(client, night, other, "artifact", seen=seen[other])
        assert (gone.status, gone.json) == (409, {"taken": False, "now": None})
        there = give(client, night, one, "asteroid", seen=seen[one])
        assert (there.status, there.json["now"]["candidate"]) == (200, other)
    assert said_in_csv(inspected / night / "candidates.csv") == {other: "asteroid"}


def test_many_verdicts_at_once_are_all_kept(inspected, inspectable, names):
    night = inspectable.night
    with inspecting(inspected) as client:
        answers = []

        def judge(person):
            for k in range(12):
                said = client.get(f"{night}/candidates").json["candidates"][0]
                answers.append(
                    give(
                        client, night, names[0], ("asteroid", "unknown")[k % 2], said["version"], person
                    ).status
                )

        threads = [threading.Thread(target=judge, args=[p]) for p in ("Ada", "Bob", "Cyd")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        history = client.get(f"{night}/changes?after=0").json["history"]
    assert set(answers) <= {200, 409}
    assert len(answers) == 36
    assert len(history) == answers.count(200) >= 12
    assert said_in_csv(inspected / night / "candidates.csv") == said_in_store(inspected, night)


def test_while_another_process_holds_the_target_verdicts_are_kept_and_the_files_follow_later(
    inspected, inspectable, names
):
    night, csv = inspectable.night, inspected / inspectable.night / "candidates.csv"
    with TargetLock(inspected, purpose="replay", now=utc_now()):
        with inspecting(inspected) as client:
            assert give(client, night, names[0], "asteroid").status == 200
            files = client.get(f"{night}/changes?after=0").json["files"]
            assert files["state"] == "waiting"
            assert "ssosd replay" in files["detail"]
        assert said_in_store(inspected, night) == {names[0]: "asteroid"}
        assert said_in_csv(csv) == {}
    with inspecting(inspected):  # the next one sees that the files are old
        pass
    assert said_in_csv(csv) == {names[0]: "asteroid"}


# ---- what a person means ----------------------------------------------------------------------------------


def test_night_target_folder_and_file_mean_the_same_night(inspected, inspectable):
    night = inspectable.night
    for what in (
        None,
        night,
        str(inspected),
        str(inspected / night),
        str(inspected / night / "candidates.csv"),
    ):
        meant = find_meant(what, inspected)
        assert (meant.target, meant.name, meant.table) == (inspected, night, None), what
    for what in ("2031-01-01", str(inspected / "nothing")):
        with pytest.raises(BadInput, match="no such night, file or folder"):
            find_meant(what, inspected)


def test_nowhere_is_no_night(tmp_path):
    with pytest.raises(BadInput, match="no night here"):
        find_meant(None, tmp_path)
    with pytest.raises(BadInput, match="no table of candidates here"):
        find_meant(str(tmp_path), tmp_path)


def test_a_table_of_the_seed_is_inspected_and_only_its_three_columns_change(inspected, inspectable, tmp_path):
    """A CSV without CANDIDATE, cutouts one folder up."""
    field = inspected / inspectable.night / inspectable.candidates["FIELD"].iloc[0]
    seed = tmp_path / "seed"
    (seed / "cats").mkdir(parents=True)
    (field / "cutouts").rename(seed / "cutouts")
    ours = ["CANDIDATE", "INSPECTED", "ASTEROID", "UNKNOWN", "MATCH_STATE", "KNOWN_BY", "LINKED_BY"]
    table = pd.read_csv(field / "cats" / "candidates.csv", dtype=str, keep_default_na=False).drop(
        columns=ours, errors="ignore"
    )
    table.to_csv(seed / "cats" / "ssos.csv", index=False)
    sources = sorted(table["SOURCE_NUMBER"].unique())
    with inspecting(tmp_path, str(seed)) as client:
        assert client.ask(client.root).headers["location"].endswith("/table/")
        seen = client.get("table/candidates").json["candidates"]
        assert sorted(c["id"] for c in seen) == sources
        assert not [
            f["reason"] for f in client.get(f"table/candidates/{sources[0]}").json["frames"] if f["reason"]
        ]
        given = give(client, "table", sources[0], "asteroid")
        assert given.status == 200
        assert give(client, "table", sources[0], "artifact").status == 409
        assert give(client, "table", sources[1], "unknown").status == 200
        assert client.get("table/candidates/..%2f..%2fx").status == 404
    assert said_in_csv(seed / "cats" / "ssos.csv") == {sources[0]: "asteroid", sources[1]: "unknown"}
    after = pd.read_csv(seed / "cats" / "ssos.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(after.drop(columns=["INSPECTED", "ASTEROID", "UNKNOWN"]), table)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_writer_that_ends_by_a_fault_of_ours_is_told_and_verdicts_are_kept_on(
    inspected, inspectable, names, monkeypatch
):
    ended = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: ended.set())

    def broken(*_, **__):
        raise KeyError("SCORE")

    with monkeypatch.context() as patched, inspecting(inspected) as client:
        patched.setattr("ssosd.web.scribe.write_night", broken)
        assert give(client, inspectable.night, names[0], "asteroid").status == 200
        assert ended.wait(30)
        assert client.get(f"{inspectable.night}/changes?after=0").json["files"]["state"] == "failed"
        assert give(client, inspectable.night, names[1], "artifact").status == 200
    with inspecting(inspected):  # the next inspector writes what this one could not
        pass
    expected = {names[0]: "asteroid", names[1]: "artifact"}
    assert said_in_store(inspected, inspectable.night) == expected
    assert said_in_csv(inspected / inspectable.night / "candidates.csv") == expected


# ---- exposures without a detection --------------------------------------------------------------------------------


def test_exposures_without_a_detection_are_told_in_order_of_time(inspected, inspectable, names):
    without_a_detection(inspected, inspectable, names[0])
    with inspecting(inspected) as client:
        said = client.get(f"{inspectable.night}/candidates/{names[0]}").json["missed"]
        assert [(m["state"], m["mag"], m["limit"], m["snr"]) for m in said] == [
            ("measured", 20.75, None, 4.1),
            ("too faint", None, 21.3, 1.2),
        ]
        assert client.get(f"{inspectable.night}/candidates/{names[1]}").json["missed"] == []
        for path in (inspected / inspectable.night).glob(f"*/cats/{RECOVERED}"):
            path.unlink()
        assert client.get(f"{inspectable.night}/candidates/{names[0]}").json["missed"] == []
