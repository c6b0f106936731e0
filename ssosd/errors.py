"""Errors, classed by what the caller may do about them.

The message says what is wrong and where (file, keyword, parameter); `next_step` says what a person can do.
"""

from __future__ import annotations


class SsosdError(Exception):
    """Base of every error that ssosd raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong, naming the file, keyword or parameter.
    next_step : str, optional
        What a person can do about it, one sentence.
    """

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message} ({self.next_step})" if self.next_step else self.message


class BadInput(SsosdError):  # noqa: N818 - named by what the caller may do, see docs/architecture.md
    """Input that will never work as it is: park it with its reason and go on with the rest."""


class Unforeseen(BadInput):
    """A fault of ours: it costs only what it came with."""


class Unreadable(BadInput):
    """We may not open it: it is parked until somebody lets us."""


class Retriable(SsosdError):  # noqa: N818
    """The same work may succeed later: a time-out, a full disk, a killed child."""


class ServiceUnavailable(Retriable):
    """A network service did not answer properly: results stay unchecked and are caught up with."""


class Unreachable(ServiceUnavailable):
    """There is no connection to a network service at all: it, or the whole network, is not there."""


class Misconfigured(SsosdError):  # noqa: N818
    """The set-up is wrong (a parameter, a missing binary, an unwritable folder): stop and tell the person."""


def without_subject(message: str, subject: str) -> str:
    """What a message says, for where a reader has read already what it is about.

    >>> without_subject("a.fits: no time", "/data/a.fits"), without_subject("NIGHT/A: no", "NIGHT/A")
    ('no time', 'no')
    >>> without_subject("a.fits[1]: no time", "/data/a.fits")
    'a.fits[1]: no time'
    """
    for name in (subject, subject.rpartition("/")[2]):
        message = message.removeprefix(f"{name}: ")
    return message
