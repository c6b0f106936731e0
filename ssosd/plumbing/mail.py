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
from typing import Literal

from ssosd.errors import Misconfigured, ServiceUnavailable

_READY = 220  # what a server's greeting begins with

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
    try:
        connection = (
            smtplib.SMTP_SSL(timeout=server.time_limit_s, context=context)
            if server.security == "TLS"
            else smtplib.SMTP(timeout=server.time_limit_s)
        )
        # whose certificate is checked; only the constructor notes it, and connects at once
        connection._host = server.host  # type: ignore[attr-defined]
        over = Timer(server.time_limit_s, _shut, [connection])  # before it waits for the server's greeting
        over.daemon = True
        over.start()
        try:
            with connection:
                code, greeting = connection.connect(server.host, server.port)
                if code != _READY:
                    raise smtplib.SMTPConnectError(code, greeting)
                if server.security == "STARTTLS":
                    connection.starttls(context=context)
                if user:
                    connection.login(user, password)
                refused = connection.send_message(message)
        finally:
            over.cancel()
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


def _shut(connection: smtplib.SMTP) -> None:
    """End an exchange that takes too long, whatever it waits for."""
    sock = connection.sock
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
