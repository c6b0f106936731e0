"""Tell systemd how we are: sd_notify(3), datagrams to the socket named by NOTIFY_SOCKET."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Sends state to systemd; silent where there is no NOTIFY_SOCKET.

    Parameters
    ----------
    environment : mapping, optional
        Instead of the process's own.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        env = os.environ if environment is None else environment
        address = env.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        microseconds = env.get("WATCHDOG_USEC", "")
        for_us = env.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        #: Seconds within which `progress` must be called; None when no watchdog is set.
        self.watchdog_s = int(microseconds) / 1e6 if microseconds.isdigit() and for_us else None

    def ready(self, status: str) -> None:
        """Start-up has finished."""
        self._send(f"READY=1\nSTATUS={_one_line(status)}\nMAINPID={os.getpid()}")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={_one_line(text)}")

    def progress(self) -> None:
        """The main loop has come round: feed the watchdog."""
        if self.watchdog_s is not None:
            self._send("WATCHDOG=1")

    def reloading(self, monotonic_us: int) -> None:
        """The configuration is being read again."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={monotonic_us}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1\nSTATUS=stopping")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            try:
                channel.connect(self._address)
                channel.sendall(state.encode())
            except OSError:
                return  # systemd is gone: nobody is left to tell


def _one_line(text: str) -> str:
    """Text without line ends: each line of a message is a field of its own."""
    return " ".join(text.split())
