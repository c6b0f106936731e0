"""What all crews have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from ssosd.crew.jobs import Job


class Crew(ABC):
    """Does jobs somewhere else, some at a time. One thread owns it.

    Used as a context: what is still under way at its end is thrown away.
    """

    @property
    @abstractmethod
    def at_once(self) -> int:
        """How many jobs are done at the same time; may change."""

    @property
    def wanted(self) -> int:
        """How many jobs in hand keep all of it busy: for each one under way the next one waits."""
        return 2 * self.at_once

    @property
    @abstractmethod
    def in_hand(self) -> int:
        """Jobs given whose outcome has not been taken."""

    @abstractmethod
    def give(self, job: Job) -> None:
        """Hand over a job; returns at once."""

    @abstractmethod
    def take(self) -> tuple[Job, Any]:
        """Wait for the next job that is done, in whatever order they end; the job and its outcome.

        Raises
        ------
        Misconfigured
            No job can be done.
        """

    @abstractmethod
    def close(self) -> None:
        """End all work, and whoever does it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def do_all(crew: Crew, *, next_job: Callable[[], Job | None], record: Callable[[Job, Any], None]) -> None:
    """Keep a crew busy until there are no more jobs."""
    while True:
        while crew.in_hand < crew.wanted and (job := next_job()) is not None:
            crew.give(job)
        if not crew.in_hand:
            return
        record(*crew.take())
