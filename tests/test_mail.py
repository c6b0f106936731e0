"""The morning mail: a real SMTP server on loopback gets it, once; no server costs no night."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes
from email.policy import default
from itertools import cycle
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from time import monotonic
from types import SimpleNamespace

import pytest

from ssosd.afterwards.rewrite import rewrite_night
from ssosd.errands import Errands
from ssosd.errors import BadInput, Misconfigured, ServiceUnavailable
from ssosd.night.mail import NightMails, mail_night
from ssosd.plumbing.mail import Server, compose, send_mail, send_note
from ssosd.store import STORE_NAME, Store
from tests.night_store import NIGHT, night_of_work
from tests.watched import station_for

controller = pytest.importorskip("aiosmtpd.controller")
smtp = pytest.importorskip("aiosmtpd.smtp")


class Letterbox:
    """Takes all mail, or none."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], bytes]] = []
        self.answer = "250 OK"
        self.refuses = ""

    async def handle_RCPT(
        self, server: object, session: object, envelope: object, address: str, options: object
    ) -> str:
        if address == self.refuses:
            return "550 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
        if self.answer.startswith("250"):
            self.mails.append((envelope.rcpt_tos, envelope.content))
        return self.answer


@pytest.fixture
def letterbox() -> Iterator[SimpleNamespace]:
    box = Letterbox()

    def who(server, session, envelope, mechanism, data):
        return smtp.AuthResult(success=(data.login, data.password) == (b"me", b"very secret"), handled=False)

    running = controller.Controller(
        box, hostname="127.0.0.1", port=0, authenticator=who, auth_require_tls=False
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        running.port = probe.getsockname()[1]
    running.start()
    yield SimpleNamespace(box=box, port=running.port)
    running.stop()


def server(port: int, *, login: Path | None = None, time_limit_s: float = 20.0) -> Server:
    return Server(host="127.0.0.1", port=port, security="NONE", login=login, time_limit_s=time_limit_s)


@pytest.fixture
def night(tmp_path: Path) -> Path:
    Store(tmp_path / STORE_NAME).close()
    night_of_work(tmp_path)
    rewrite_night(tmp_path, night=NIGHT)
    return tmp_path / NIGHT


def test_the_summary_goes_out_with_the_report(
    letterbox: SimpleNamespace, night: Path, tmp_path: Path
) -> None:
    login = tmp_path / "login"
    login.write_text("me very secret\n")
    station = station_for(
        tmp_path, MAIL_TO="a@example.org,b@example.org", MAIL_FROM="dome@example.org", SMTP_LOGIN=str(login),
        SMTP_SERVER=f"127.0.0.1:{letterbox.port}",
    )  # fmt: skip
    mail_night(night, config=station.config)
    ((to, raw),) = letterbox.box.mails
    mail = message_from_bytes(raw, policy=default)
    assert to == ["a@example.org", "b@example.org"]
    assert mail["From"] == "dome@example.org"
    assert mail["Subject"] == f"ssosd {NIGHT}: 3 candidates, 1 unknown, 1 unchecked"
    body = mail.get_body(preferencelist=("plain",)).get_content().replace("\r\n", "\n")
    assert body == (night / "summary.txt").read_text()
    (page,) = mail.iter_attachments()
    assert page.get_filename() == f"{NIGHT}.html"
    assert page.get_content().replace("\r\n", "\n").strip() == (night / "report.html").read_text().strip()
    login.write_text("me wrong\n")
    with pytest.raises(Misconfigured, match="refused"):
        mail_night(night, config=station.config)
    login.write_text("me\n")
    with pytest.raises(Misconfigured, match="SMTP_LOGIN"):
        mail_night(night, config=station.config)
    login.write_text("me Stra\u00dfe\n", encoding="utf-8")
    with pytest.raises(Misconfigured, match=r"SMTP_LOGIN .*ASCII"):
        mail_night(night, config=station.config)


def test_what_goes_wrong_has_a_name(letterbox: SimpleNamespace, tmp_path: Path) -> None:
    mail = compose(
        sender="a@example.org", to=["b@example.org"], subject="x\r\nBcc: evil@example.org", text="t"
    )
    assert mail["Subject"] == "x Bcc: evil@example.org"
    letterbox.box.answer = "451 later"
    with pytest.raises(ServiceUnavailable, match="later"):
        send_mail(mail, server(letterbox.port))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(ServiceUnavailable, match="not sent"):
            send_mail(mail, server(silent.getsockname()[1], time_limit_s=0.2))
        port = silent.getsockname()[1]
    with pytest.raises(ServiceUnavailable, match="not sent"):
        send_mail(mail, server(port))
    with pytest.raises(BadInput, match="no report"):
        mail_night(tmp_path, config=station_for(tmp_path, MAIL_TO="a@example.org").config)


class Now:
    """An executor that does its work at once."""

    def submit(self, work):
        from concurrent.futures import Future

        done: Future = Future()
        try:
            done.set_result(work())
        except Exception as error:  # noqa: BLE001
            done.set_exception(error)
        return done


@contextmanager
def greeting(*, with_bytes: bytes, every_s: float) -> Iterator[int]:
    """Port of a server that says this before it lets anybody speak, a byte at a time, without end."""
    over = Event()

    def drip() -> None:
        caller, _ = listening.accept()
        with caller, suppress(OSError):
            for byte in cycle(with_bytes):
                if over.wait(every_s):
                    return
                caller.sendall(bytes([byte]))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=drip)
        thread.start()
        yield listening.getsockname()[1]
        over.set()
        thread.join()


@pytest.mark.parametrize(
    ("said", "every_s", "why"), [(b"220-wait\r\n", 0.02, "not sent"), (b"554 no\r\n", 0.0, "554")]
)
def test_a_server_that_does_not_greet(said: bytes, every_s: float, why: str) -> None:
    mail = compose(sender="a@example.org", to=["b@example.org"], subject="x", text="t")
    begun = monotonic()
    with greeting(with_bytes=said, every_s=every_s) as port, pytest.raises(ServiceUnavailable, match=why):
        send_mail(mail, server(port, time_limit_s=0.3))
    assert monotonic() - begun < 10.0


def test_each_night_is_told_of_once_and_a_dead_server_costs_nothing(
    letterbox: SimpleNamespace, night: Path, tmp_path: Path
) -> None:
    inbox: SimpleQueue = SimpleQueue()
    again: list[float] = []

    def send(mails: NightMails, now_s: float, port: int) -> None:
        station = station_for(
            tmp_path, MAIL_TO="a@example.org", SMTP_SERVER=f"127.0.0.1:{port}", TRIES="3", RETRY_DELAY="60"
        )
        mails.send_if_due(NIGHT, now_s=now_s, station=station, executor=Now(), again=again.append)
        while not inbox.empty():
            inbox.get()()

    with Store(tmp_path / STORE_NAME) as store:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            dead = gone.getsockname()[1]
        mails = NightMails(Errands(inbox), store=store)
        send(mails, 0.0, dead)
        assert again == [60.0]
        send(mails, 20.0, letterbox.port)  # too early
        assert (again, letterbox.box.mails) == ([60.0, 40.0], [])
        send(mails, 60.0, dead)
        assert again == [60.0, 40.0, 120.0]
        send(mails, 180.0, dead)
        send(mails, 1e6, letterbox.port)  # it has been tried often enough
        assert letterbox.box.mails == []
        assert not store.is_mailed(NIGHT)
        told = [
            r["message"]
            for r in store.rows("SELECT message FROM events WHERE subject = ?", [f"mail of {NIGHT}"])
        ]
        assert len(told) == 3
        assert "not sent" in told[0]
        for _ in range(3):  # another process, and another
            send(NightMails(Errands(inbox), store=store), 0.0, letterbox.port)
        assert len(letterbox.box.mails) == 1
        assert store.is_mailed(NIGHT)
        assert store.is_written(NIGHT)  # telling of a night does not make its files old


@pytest.mark.parametrize("mended", [True, False])
def test_who_was_told_is_not_told_again_for_others(
    letterbox: SimpleNamespace, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mended: bool
) -> None:
    inbox: SimpleQueue = SimpleQueue()
    notes: list[str] = []

    def note(config: Path, *, title: str, text: str) -> None:
        notes.append(title)
        if len(notes) < 3 or not mended:
            raise ServiceUnavailable("not everybody could be told")

    monkeypatch.setattr("ssosd.night.mail.send_note", note)
    letterbox.box.refuses = "b@example.org"
    (tmp_path / "apprise").write_text("json://127.0.0.1/\n")
    station = station_for(
        tmp_path, MAIL_TO="a@example.org,b@example.org", SMTP_SERVER=f"127.0.0.1:{letterbox.port}", TRIES="3",
        APPRISE_CONFIG=str(tmp_path / "apprise"),
    )  # fmt: skip
    with Store(tmp_path / STORE_NAME) as store:
        mails = NightMails(Errands(inbox), store=store)
        for now_s in (0.0, 1e6, 2e6, 3e6):
            assert store.is_mailed(NIGHT) == (now_s > 2e6)
            if now_s == 1e6 and mended:  # the daemon is started again while a note is still to be tried
                mails = NightMails(Errands(inbox), store=store)
            mails.send_if_due(NIGHT, now_s=now_s, station=station, executor=Now(), again=lambda _: None)
            while not inbox.empty():
                inbox.get()()
        told = [r["message"] for r in store.rows("SELECT message FROM events WHERE level = 'warning'")]
    assert len(notes) == 3
    assert [to for to, _ in letterbox.box.mails] == [["a@example.org"]]
    assert [m for m in told if "MAIL_TO" in m] == [
        "MAIL_TO: refused for b@example.org: 550 nobody of that name"
    ]
    assert len([m for m in told if "not everybody" in m]) == (2 if mended else 3)


def test_apprise_tells_whom_its_file_names(tmp_path: Path) -> None:
    pytest.importorskip("apprise")
    from http.server import BaseHTTPRequestHandler, HTTPServer

    got: list[bytes] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Take) as web:
        Thread(target=web.serve_forever, daemon=True).start()
        config = tmp_path / "apprise"
        config.write_text(f"json://127.0.0.1:{web.server_port}/\n")
        send_note(config, title="ssosd", text="3 candidates")
        web.shutdown()
    assert b"3 candidates" in got[0]
    with pytest.raises(ServiceUnavailable, match="not everybody"):
        send_note(config, title="ssosd", text="3 candidates")
    config.write_text("nothing\n")
    with pytest.raises(Misconfigured, match="names nobody"):
        send_note(config, title="ssosd", text="3 candidates")
