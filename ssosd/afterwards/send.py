"""Files to the tools that are open on the screen: TOPCAT, Aladin and DS9, over SAMP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar
from xml.parsers.expat import ExpatError

from astropy.io import fits
from pyvo.samp import SAMP_STATUS_OK, SAMPClientError, SAMPHubError, SAMPIntegratedClient, SAMPProxyError

from ssosd import __version__
from ssosd.errors import BadInput, ServiceUnavailable
from ssosd.plumbing.background import begin

_T = TypeVar("_T")

#: What pyvo raises where nobody listens, or the file that names the hub is damaged or of another time.
_NO_HUB = (SAMPHubError, SAMPProxyError, ExpatError, HTTPException, KeyError, OSError, ValueError)
_TABLES = (".vot", ".xml", ".votable")
_REGIONS = ".reg"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """One file and who took it."""

    path: Path
    to: tuple[str, ...]  # names of the tools


def send_files(paths: Sequence[Path], *, time_limit_s: float = 30.0) -> list[Sent]:
    """Send files to all tools on this machine that understand them.

    VOTables and FITS tables go to those that load tables, FITS images to those that load images, region
    files to DS9.

    Parameters
    ----------
    paths : sequence of Path
    time_limit_s : float
        Wall seconds that one tool has for one file, and the hub for each question.

    Raises
    ------
    BadInput
        A file is not there, or none that can be sent.
    ServiceUnavailable
        No SAMP hub runs or answers, no tool understands a file, or one does not take it.
    """
    messages = [_message(path.absolute()) for path in paths]
    client = SAMPIntegratedClient(name="ssosd", metadata={"ssosd.version": __version__}, addr="127.0.0.1")
    try:
        _of_hub(client.connect, time_limit_s)
    except _NO_HUB as error:
        raise ServiceUnavailable(
            f"no SAMP hub runs here ({error})",
            next_step="start TOPCAT, Aladin or DS9 (with a hub), then send again",
        ) from error
    try:
        return [
            Sent(path=path, to=_send(client, path, mtype, parameters, time_limit_s))
            for path, (mtype, parameters) in zip(paths, messages, strict=True)
        ]
    except (SAMPHubError, SAMPClientError, SAMPProxyError, OSError) as error:
        raise ServiceUnavailable(f"SAMP: {error}", next_step="look whether the tool still answers") from error
    finally:
        with suppress(ServiceUnavailable, SAMPHubError, SAMPProxyError, OSError):  # it is over anyway
            _of_hub(client.disconnect, time_limit_s)


def _of_hub(call: Callable[[], _T], time_limit_s: float) -> _T:
    """What the hub answers: pyvo waits without end for one that takes a question and says nothing."""
    try:
        return begin(call, name="samp").result(time_limit_s)
    except TimeoutError:
        raise ServiceUnavailable(
            f"the SAMP hub has not answered within {time_limit_s:g} s",
            next_step="close TOPCAT, Aladin or whoever runs it, and start it anew",
        ) from None


def latest_candidates(target: Path) -> Path:
    """The VOTable of the latest night that has one.

    Raises
    ------
    BadInput
        There is none.
    """
    found = sorted(target.glob("[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]/candidates.vot"))
    if not found:
        raise BadInput(f"{target}: no night with candidates", next_step="give the target folder with -t")
    return found[-1]


def _message(path: Path) -> tuple[str, dict[str, str]]:
    """Type and parameters of the message that makes a tool load a file."""
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    named = {"url": path.as_uri(), "name": path.name, "table-id": path.as_uri()}
    suffix = path.suffix.lower()
    if suffix in _TABLES:
        return "table.load.votable", named
    if suffix == _REGIONS:
        return "ds9.set", {"cmd": f"regions load {{{path}}}"}
    try:
        with fits.open(path) as hdus:
            if any(hdu.is_image and hdu.header.get("NAXIS", 0) >= 2 for hdu in hdus):
                return "image.load.fits", {"url": path.as_uri(), "name": path.name, "image-id": path.as_uri()}
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: neither a VOTable, a region file nor FITS: {error}") from error
    return "table.load.fits", named


def _send(
    client: SAMPIntegratedClient, path: Path, mtype: str, parameters: Mapping[str, str], time_limit_s: float
) -> tuple[str, ...]:
    message = {"samp.mtype": mtype, "samp.params": dict(parameters)}
    names = []
    for recipient in sorted(_of_hub(partial(client.get_subscribed_clients, mtype), time_limit_s)):
        told = _of_hub(partial(client.get_metadata, recipient), time_limit_s)
        name = str(told.get("samp.name", recipient))
        try:
            reply = _call(client, recipient, message, time_limit_s)
        except Empty:
            raise ServiceUnavailable(
                f"{name} has not answered within {time_limit_s:g} s whether it took {path.name}",
                next_step="look whether the tool still runs",
            ) from None
        if reply["samp.status"] != SAMP_STATUS_OK:
            error = reply.get("samp.error", {}).get("samp.errortxt", "no reason given")
            raise ServiceUnavailable(f"{name} does not take {path.name}: {error}")
        names.append(name)
    if not names:
        raise ServiceUnavailable(
            f"{path.name}: no tool here understands {mtype}", next_step="start one and send again"
        )
    return tuple(names)


def _call(
    client: SAMPIntegratedClient, recipient: str, message: dict[str, Any], time_limit_s: float
) -> dict[str, Any]:
    """One message to one tool, and its answer (`queue.Empty` if none comes in time).

    Not the hub's ``callAndWait``: pyvo's hub begins to wait after it has passed the message on, and loses
    the answer of a tool that is faster than that.
    """
    answers: SimpleQueue[dict[str, Any]] = SimpleQueue()
    tag = "ssosd"
    client.bind_receive_response(tag, lambda *answer: answers.put(answer[-1]))
    try:
        _of_hub(partial(client.call, recipient, tag, message), time_limit_s)
        return answers.get(timeout=time_limit_s)
    finally:
        client.unbind_receive_response(tag)
