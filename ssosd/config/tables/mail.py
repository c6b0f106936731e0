"""Parameters of the morning mail: who gets the night's summary and report, and by which server."""

from __future__ import annotations

from ssosd.config.kinds import FileName, Number, Pattern, Words
from ssosd.config.parameter import Parameter

_MAIL = "Morning mail"

ENTRIES: tuple[Parameter, ...] = (
    Parameter(
        name="MAIL_TO",
        section=_MAIL,
        stage="daemon",
        default="False",
        kind=Words(nothing="False"),
        help="Addresses that get the morning report, False for nobody",
        doc="Comma-separated addresses that the daemon sends the summary to as text, with the report "
        "attached, once a night when both are written; `False` for nobody. What goes wrong with it costs a "
        "line among the events, never the night.",
    ),
    Parameter(
        name="MAIL_FROM",
        section=_MAIL,
        stage="daemon",
        default="ssosd@localhost",
        kind=Pattern(
            expression=r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+", description="an address", metavar="ADDRESS"
        ),
        help="Sender of the mail",
        doc="The address that the mail comes from.",
    ),
    Parameter(
        name="SMTP_SERVER",
        section=_MAIL,
        stage="daemon",
        default="localhost:25",
        kind=Pattern(expression=r"[A-Za-z0-9.-]+:[0-9]{1,5}", description="HOST:PORT", metavar="HOST:PORT"),
        help="Mail server, HOST:PORT",
        doc="Name and port of the server that takes the mail.",
    ),
    Parameter(
        name="SMTP_SECURITY",
        section=_MAIL,
        stage="daemon",
        default="NONE",
        kind=Pattern(
            expression=r"(?i:NONE|STARTTLS|TLS)",
            description="NONE | STARTTLS | TLS",
            metavar="WORD",
            upper=True,
        ),
        help="Encryption on the way to it: NONE | STARTTLS | TLS",
        doc="`STARTTLS` (usual at port 587), `TLS` from the first byte (usual at port 465), or `NONE`. The "
        "server's certificate is checked.",
    ),
    Parameter(
        name="SMTP_LOGIN",
        section=_MAIL,
        stage="daemon",
        default="False",
        kind=FileName(unset="False"),
        help="File with user and password for the mail server",
        doc="A file of one line, the user and the password with a blank between them, that nobody else "
        "should be able to read; `False` for a server that asks for none. It is read when a mail is sent.",
    ),
    Parameter(
        name="APPRISE_CONFIG",
        section=_MAIL,
        stage="daemon",
        default="False",
        kind=FileName(unset="False"),
        help="File of apprise with further ways to be told",
        doc="A file of addresses for apprise (Signal, Telegram, Slack, ...; `pip install 'ssosd[apprise]'`), "
        "which are sent the head of the summary, once a night; `False` for none.",
    ),
    Parameter(
        name="MAIL_TIME_LIMIT",
        section=_MAIL,
        stage="daemon",
        default="60",
        unit="s",
        kind=Number(low=0, above=True, high=3600),
        help="Wall time of one mail",
        doc="The server is left alone after this time; the mail is tried again, TRIES times in all.",
    ),
)
