"""A circuit breaker: a service that does not answer is left alone for a while, then tried by one alone."""

from __future__ import annotations

from collections.abc import Callable

CLOSED, OPEN = "answering", "resting"


class Breaker:
    """Says whether a service may be asked. Not thread-safe: one thread asks it and tells it what came of it.

    After `patience` failures in a row it rests for `rest_s`. Then one question is let through; an answer ends
    the rest, a failure doubles it, up to `longest_s`.

    Parameters
    ----------
    clock : callable
        Present time, seconds.
    patience : int
        Failures in a row.
    rest_s, longest_s : float
        First and longest rest, seconds.

    Examples
    --------
    >>> now = [0.0]
    >>> breaker = Breaker(clock=lambda: now[0], patience=1, rest_s=60.0)
    >>> breaker.failed()
    >>> breaker.allows(), breaker.next_try_s
    (False, 60.0)
    >>> now[0] = 61.0
    >>> breaker.allows(), breaker.allows()
    (True, False)
    >>> breaker.answered()
    >>> breaker.allows(), breaker.state
    (True, 'answering')
    """

    def __init__(
        self, *, clock: Callable[[], float], patience: int = 2, rest_s: float = 60.0, longest_s: float = 900.0
    ) -> None:
        self._clock = clock
        self._patience = patience
        self._first_rest_s = rest_s
        self._rest_s = rest_s
        self._longest_s = longest_s
        self.failures = 0
        self.next_try_s: float | None = None  # while it rests

    @property
    def state(self) -> str:
        """`CLOSED` or `OPEN`."""
        return CLOSED if self.next_try_s is None else OPEN

    @property
    def is_due(self) -> bool:
        """Whether `allows` would say yes."""
        return self.next_try_s is None or self._clock() >= self.next_try_s

    def allows(self) -> bool:
        """Whether the service may be asked now; after a rest, yes only once until that one is back.

        One that never comes back is given up after another rest.
        """
        if not self.is_due:
            return False
        if self.next_try_s is not None:
            self.next_try_s = self._clock() + self._rest_s
        return True

    def clock_put_back(self, back_s: float) -> None:
        """The clock says so much less than it did: a rest becomes no longer."""
        if self.next_try_s is not None:
            self.next_try_s -= back_s

    def answered(self) -> None:
        """The service answered."""
        self.failures, self.next_try_s, self._rest_s = 0, None, self._first_rest_s

    def failed(self) -> None:
        """The service did not answer."""
        self.failures += 1
        if self.next_try_s is not None:
            self._rest_s = min(2.0 * self._rest_s, self._longest_s)
        elif self.failures < self._patience:
            return
        self.next_try_s = self._clock() + self._rest_s
