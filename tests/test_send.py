"""`ssosd send` against a real SAMP hub on loopback, with a client that loads what it is told to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table
from pyvo.samp import SAMPHubServer, SAMPIntegratedClient

from ssosd.afterwards.send import latest_candidates, send_files
from ssosd.errors import BadInput, ServiceUnavailable
from ssosd.reports.votable import detections_table, fits_bytes, votable_bytes

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


class Tool:
    """Takes every message that it is subscribed to, and remembers it."""

    def __init__(self, *mtypes: str, refuses: bool = False) -> None:
        self.taken: list[tuple[str, dict[str, str]]] = []
        self._refuses = refuses
        self.client = SAMPIntegratedClient(name="A tool", addr="127.0.0.1")
        self.client.connect()
        for mtype in mtypes:
            self.client.bind_receive_call(mtype, self._take)

    def _take(
        self, private_key: str, sender: str, message: str, mtype: str, params: dict, extra: dict
    ) -> None:
        self.taken.append((mtype, params))
        status = "samp.error" if self._refuses else "samp.ok"
        error = {"samp.errortxt": "too large"}
        self.client.reply(message, {"samp.status": status, "samp.result": {}, "samp.error": error})


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SAMPHubServer]:
    lock = tmp_path / "samp"
    monkeypatch.setenv("SAMP_HUB", "std-lockurl:" + lock.as_uri())
    hub = SAMPHubServer(web_profile=False, addr="127.0.0.1", lockfile=str(lock))
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "a night"
    folder.mkdir()
    table = detections_table(pd.DataFrame())
    (folder / "candidates.vot").write_bytes(votable_bytes(table, night="2026-11-14"))
    (folder / "candidates.fits").write_bytes(fits_bytes(table, night="2026-11-14"))
    fits.PrimaryHDU(np.zeros((3, 3), dtype=np.float32)).writeto(folder / "1_1.fits")
    (folder / "a.reg").write_text("icrs\n")
    return [folder / name for name in ("candidates.vot", "candidates.fits", "1_1.fits", "a.reg")]


def test_each_file_goes_to_those_that_understand_it(hub: SAMPHubServer, files: list[Path]) -> None:
    mtypes = ("table.load.votable", "table.load.fits", "image.load.fits", "ds9.set")
    tool = Tool(*mtypes)
    sent = send_files(files)
    tool.client.disconnect()
    assert [s.to for s in sent] == [("A tool",)] * 4
    assert tuple(mtype for mtype, _ in tool.taken) == mtypes
    assert (
        "PM"
        in parse_single_table(tool.taken[0][1]["url"].removeprefix("file://").replace("%20", " "))
        .to_table()
        .colnames
    )
    assert tool.taken[3][1] == {"cmd": f"regions load {{{files[3]}}}"}


def test_who_does_not_understand_or_refuses_is_said(hub: SAMPHubServer, files: list[Path]) -> None:
    with pytest.raises(
        ServiceUnavailable, match=r"candidates.vot: no tool here understands table.load.votable"
    ):
        send_files(files[:1])
    tool = Tool("table.load.votable", refuses=True)
    with pytest.raises(ServiceUnavailable, match=r"A tool does not take candidates.vot: too large"):
        send_files(files[:1])
    tool.client.disconnect()


def test_an_answer_before_the_hub_waits_for_it_is_not_lost(hub: SAMPHubServer, files: list[Path]) -> None:
    """pyvo's hub loses what answers its callAndWait at once: here each answer comes before the call is over."""
    answered = Event()
    reply, call = hub._reply_, hub._call

    def replied(*args: object) -> None:
        reply(*args)
        answered.set()

    def passed_on(*args: object) -> object:
        tag = call(*args)
        assert answered.wait(30.0)
        return tag

    hub._reply_, hub._call = replied, passed_on
    hub._server.register_function(passed_on, "samp.hub.call")  # else the one of its beginning stays
    tool = Tool("table.load.votable")
    sent = send_files(files[:1], time_limit_s=10.0)
    tool.client.disconnect()
    assert sent[0].to == ("A tool",)


def test_a_tool_that_does_not_answer_is_named(hub: SAMPHubServer, files: list[Path]) -> None:
    silent = SAMPIntegratedClient(name="Silent", addr="127.0.0.1")
    silent.connect()
    silent.bind_receive_call("table.load.votable", lambda *_: None)
    with pytest.raises(ServiceUnavailable, match=r"Silent has not answered within 0.2 s .* candidates.vot"):
        send_files(files[:1], time_limit_s=0.2)
    silent.disconnect()


def test_a_hub_that_hangs_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[Path]
) -> None:
    lock = tmp_path / "samp"
    monkeypatch.setenv("SAMP_HUB", "std-lockurl:" + lock.as_uri())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        lock.write_text(f"samp.secret=x\nsamp.hub.xmlrpc.url=http://127.0.0.1:{silent.getsockname()[1]}/\n")
        with pytest.raises(ServiceUnavailable, match=r"the SAMP hub has not answered within 0.2 s"):
            send_files(files[:1], time_limit_s=0.2)


@pytest.mark.parametrize("method", ["getSubscribedClients", "getMetadata", "call"])
def test_a_hub_that_hangs_on_the_way_is_left_alone(
    hub: SAMPHubServer, files: list[Path], method: str
) -> None:
    over = Event()
    hub._server.register_function(lambda *_: over.wait(30.0), f"samp.hub.{method}")
    tool = Tool("table.load.votable")
    with pytest.raises(ServiceUnavailable, match=r"the SAMP hub has not answered within 0.3 s"):
        send_files(files[:1], time_limit_s=0.3)
    over.set()
    tool.client.disconnect()


@pytest.mark.parametrize(
    "content", [b"no equals sign\n", b"a=b=c\n", b"\xff\xfe", b"samp.hub.xmlrpc.url=x\n", b""]
)
def test_a_damaged_lock_file_is_no_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[Path], content: bytes
) -> None:
    lock = tmp_path / "samp"
    lock.write_bytes(content)
    monkeypatch.setenv("SAMP_HUB", "std-lockurl:" + lock.as_uri())
    with pytest.raises(ServiceUnavailable, match="no SAMP hub"):
        send_files(files[:1])


def test_without_a_hub_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[Path]) -> None:
    monkeypatch.setenv("SAMP_HUB", "std-lockurl:" + (tmp_path / "none").as_uri())
    with pytest.raises(ServiceUnavailable, match="no SAMP hub"):
        send_files(files[:1])
    with pytest.raises(BadInput, match="no such file"):
        send_files([tmp_path / "gone.vot"])
    with pytest.raises(BadInput, match="no night"):
        latest_candidates(tmp_path)
    for night in ("2026-11-13", "2026-11-14"):
        (tmp_path / night).mkdir()
        (tmp_path / night / "candidates.vot").write_bytes(files[0].read_bytes())
    assert latest_candidates(tmp_path).parent.name == "2026-11-14"
    text = tmp_path / "notes.txt"
    text.write_text("no FITS")
    with pytest.raises(BadInput, match=r"notes.txt: neither"):
        send_files([text])
