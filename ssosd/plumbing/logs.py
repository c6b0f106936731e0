"""Where log messages go: the journal, a terminal, a file; as text for people or JSON for programs.

A message may name what it is about: ``log.info("...", extra={"exposure": name})``, likewise ``sequence``
(night/field) and ``night``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Literal, TextIO

from ssosd.errors import Misconfigured
from ssosd.plumbing.files import write_failure

Format = Literal["text", "json"]
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
#: What a message may name, as attributes of its record.
IDS = ("night", "exposure", "sequence")
#: Priorities of syslog(3) by the level from which they count; journald reads them as `<N>`, sd-daemon(3).
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG_PRIORITY = 7
_OURS = "ssosd"


class TextFormatter(logging.Formatter):
    """Time, level, logger, message and ids in one line; a traceback follows below.

    Parameters
    ----------
    journal : bool
        For journald, which knows the time by itself and wants the priority before each line instead.
    """

    def __init__(self, *, journal: bool = False) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """Text of a record."""
        about = " ".join(f"{name}={value}" for name, value in record_ids(record).items())
        text = f"{record.name}: {record.getMessage()}" + (f" [{about}]" if about else "")
        trace = _traceback(self, record)
        text = f"{text}\n{trace}" if trace else text
        if self._journal:
            return _with_priority(text, record)
        return f"{iso_time(record)} {record.levelname} {text}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``message``, the ids, ``exception``.

    Parameters
    ----------
    journal : bool
        Put the priority before the line, for journald.
    """

    def __init__(self, *, journal: bool = False) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """JSON of a record."""
        entry = {
            "time": iso_time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **record_ids(record),
        }
        trace = _traceback(self, record)
        if trace:
            entry["exception"] = trace
        line = json.dumps(entry, ensure_ascii=False)
        return _with_priority(line, record) if self._journal else line


class _File(WatchedFileHandler):
    """A log file that logrotate may move away; a full disk loses lines of it and nothing else."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, if that is possible."""
        with suppress(OSError):  # the folder is gone, or the disk too full to open the file again
            super().emit(record)

    def close(self) -> None:
        """Close the file; what is still in its buffer and has no room is lost."""
        with suppress(OSError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def start_logging(
    *,
    level: str,
    format: Format = "text",  # noqa: A002 - as the flag is called
    file: Path | None = None,
    stream: TextIO | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Send the log to a stream and, if wanted, to a file; whatever was set up before is replaced.

    Messages of ssosd from `level` up; of the libraries it uses, warnings and errors alone.

    Parameters
    ----------
    level : str
        One of `LEVELS`.
    format : {"text", "json"}
        For people or for programs.
    file : Path, optional
        Also append to this file; its folder is made when it is missing.
    stream : file object, optional
        By default stderr. When journald reads it, lines carry its priorities and no time.
    environment : mapping, optional
        Instead of the process's own.

    Raises
    ------
    Misconfigured
        An unknown level, or the file cannot be written.
    """
    if level not in LEVELS:
        raise Misconfigured(f"log level {level!r}: unknown", next_step=f"use one of {', '.join(LEVELS)}")
    target = sys.stderr if stream is None else stream
    journal = is_journal(target, os.environ if environment is None else environment)
    handlers: list[logging.Handler] = [logging.StreamHandler(target)]
    handlers[0].setFormatter(_formatter(format, journal=journal))
    if file is not None:
        handlers.append(_file_handler(file, _formatter(format, journal=False)))
    stop_logging()
    root, ours = logging.getLogger(), logging.getLogger(_OURS)
    root.setLevel(logging.WARNING)
    for handler in handlers:
        handler.set_name(_OURS)
        root.addHandler(handler)
    ours.setLevel(level)
    ours.propagate = True
    logging.captureWarnings(True)


def run_log(target: Path, *, level: str, started: datetime) -> Path:
    """Begin the log file of one run, ``TARGET/logs/ssosd_YYYYMMDDhhmmss.log``, and nothing on the console.

    Parameters
    ----------
    target : Path
        The target folder.
    level : str
        One of `LEVELS`.
    started : datetime
        When the run began; names the file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    Misconfigured, Retriable
        The file cannot be written.
    """
    if level not in LEVELS:
        raise Misconfigured(f"log level {level!r}: unknown", next_step=f"use one of {', '.join(LEVELS)}")
    path = target / "logs" / f"ssosd_{started:%Y%m%d%H%M%S}.log"
    handler = _file_handler(path, TextFormatter())
    stop_logging()
    ours = logging.getLogger(_OURS)
    handler.set_name(_OURS)
    ours.addHandler(handler)
    ours.setLevel(level)
    ours.propagate = False
    return path


def stop_logging() -> None:
    """Undo `start_logging` and `run_log`: close their files and take their handlers away."""
    logging.captureWarnings(False)
    for logger in (logging.getLogger(), logging.getLogger(_OURS)):
        for handler in [h for h in logger.handlers if h.get_name() == _OURS]:
            logger.removeHandler(handler)
            handler.close()
    logging.getLogger(_OURS).propagate = True


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether journald reads what is written to a stream.

    ``JOURNAL_STREAM`` names the device and inode of the journal's socket (systemd.exec(5)); a stream that
    was redirected elsewhere since has others.
    """
    try:
        stat = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):  # closed, or no real file
        return False
    return environment.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"


def record_ids(record: logging.LogRecord) -> dict[str, str]:
    """What a record says it is about."""
    return {name: str(value) for name in IDS if (value := getattr(record, name, None)) is not None}


def iso_time(record: logging.LogRecord) -> str:
    """When a record was made, UTC, to the millisecond."""
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _formatter(name: Format, *, journal: bool) -> logging.Formatter:
    return JsonFormatter(journal=journal) if name == "json" else TextFormatter(journal=journal)


def _file_handler(path: Path, formatter: logging.Formatter) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _File(path, encoding="utf-8")
    except OSError as error:
        raise write_failure(path, error) from error
    handler.setFormatter(formatter)
    return handler


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = [formatter.formatException(record.exc_info)] if record.exc_info else []
    parts += [formatter.formatStack(record.stack_info)] if record.stack_info else []
    return "\n".join(parts)


def _with_priority(text: str, record: logging.LogRecord) -> str:
    """Each line with the priority before it, as sd-daemon(3) wants."""
    priority = next((p for level, p in _PRIORITIES if record.levelno >= level), _DEBUG_PRIORITY)
    return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))
