"""A mail by SMTP, and a note by apprise where that is installed."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from threading import Timer
from typing import Any, Literal

from ssosd.errors import Misconfigured, ServiceUnavailable

Security = Literal["NONE", "STARTTLS", "TLS"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """Where mail is handed in."""

    host: str
    port: int
    security: Security
    login: Path | None  # file with "user password"; None: the server asks for none
    time_limit_s: float  # wall seconds for a mail


def compose(
    *, sender: str, to: Sequence[str], subject: str, text: str, attached: Sequence[tuple[str, str]] = ()
) -> EmailMessage:
    """A mail of plain text with pages of HTML attached.

    Parameters
    ----------
    sender : str
    to : sequence of str
    subject, text : str
    attached : sequence of (str, str)
        Name and contents of each page.
    """
    message = EmailMessage()
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Subject"] = " ".join(subject.split())
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text, cte="quoted-printable")
    for name, contents in attached:
        message.add_attachment(contents, subtype="html", filename=name, cte="base64")
    return message


def send_mail(message: EmailMessage, server: Server) -> tuple[str, ...]:
    """Hand a mail in.

    Returns
    -------
    tuple of str
        Those whom the server refused to send it to while it took it for others, with its reasons.

    Raises
    ------
    Misconfigured
        The file with the login cannot be read, or the server does not accept it or any address.
    ServiceUnavailable
        The server does not answer in time, or not now.
    """
    where = f"{server.host}:{server.port}"
    user, password = _login(server.login)
    context = ssl.create_default_context()
    begun: list[smtplib.SMTP] = []
    over = Timer(server.time_limit_s, _shut, [begun])
    over.daemon = True
    over.start()
    try:
        with _connected(server, context, begun) as connection:
            if server.security == "STARTTLS":
                connection.starttls(context=context)
            if user:
                connection.login(user, password)
            refused = connection.send_message(message)
    except (
        smtplib.SMTPAuthenticationError,
        smtplib.SMTPRecipientsRefused,
        smtplib.SMTPSenderRefused,
    ) as error:
        raise Misconfigured(
            f"{where}: refused: {error}", next_step="look at MAIL_TO, MAIL_FROM, SMTP_LOGIN"
        ) from error
    except (smtplib.SMTPException, OSError) as error:
        raise ServiceUnavailable(f"{where}: the mail is not sent: {error}") from error
    finally:
        over.cancel()
    return tuple(
        f"{address}: {code} {said.decode(errors='replace')}" for address, (code, said) in refused.items()
    )


def send_note(config: Path, *, title: str, text: str) -> None:
    """Tell everybody that a file of apprise names.

    Raises
    ------
    Misconfigured
        apprise is not installed, or the file names nobody.
    ServiceUnavailable
        Somebody could not be told.
    """
    try:
        import apprise
    except ImportError as error:
        raise Misconfigured(
            "APPRISE_CONFIG is set, and apprise is not installed", next_step="pip install 'ssosd[apprise]'"
        ) from error
    people = apprise.Apprise()
    addresses = apprise.AppriseConfig()
    if not addresses.add(str(config)) or not addresses.services():
        raise Misconfigured(f"APPRISE_CONFIG {config}: names nobody that apprise knows")
    people.add(addresses)
    if not people.notify(title=title, body=text):
        raise ServiceUnavailable(f"APPRISE_CONFIG {config}: not everybody could be told")


def _login(path: Path | None) -> tuple[str, str]:
    if path is None:
        return "", ""
    try:
        user, password = path.read_text(encoding="utf-8").split(maxsplit=1)
    except (OSError, ValueError) as error:
        raise Misconfigured(
            f"SMTP_LOGIN {path}: cannot be read", next_step="one line: user, a blank, password"
        ) from error
    if not (user + password).isascii():
        raise Misconfigured(
            f"SMTP_LOGIN {path}: only plain ASCII can be sent",
            next_step="set another password, without accents",
        )
    return user, password.strip()


class _Noted(smtplib.SMTP):
    """Known before it has connected, which its constructor does: a server's greeting may never end."""

    def __init__(self, begun: list[smtplib.SMTP], **options: Any) -> None:
        begun.append(self)
        super().__init__(**options)


class _NotedTLS(_Noted, smtplib.SMTP_SSL):
    """The same, with TLS from the first byte."""


def _connected(server: Server, context: ssl.SSLContext, begun: list[smtplib.SMTP]) -> smtplib.SMTP:
    options = {"host": server.host, "port": server.port, "timeout": server.time_limit_s}
    if server.security == "TLS":
        return _NotedTLS(begun, **options, context=context)
    return _Noted(begun, **options)


def _shut(begun: Sequence[smtplib.SMTP]) -> None:
    """End an exchange that takes too long, whatever it waits for."""
    for sock in (connection.sock for connection in begun):
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
