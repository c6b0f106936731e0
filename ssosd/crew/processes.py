"""A crew of processes on this machine; one that dies is replaced, and the job it had is done again.

The standard library's pool gives up all its jobs when one worker dies and does not say which job it had
(BrokenProcessPool). Here each worker has a connection of its own and one job at a time, so that a death costs
the others nothing and has an address.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ssosd.astromatic import signal_name
from ssosd.crew.base import Crew
from ssosd.crew.jobs import Job
from ssosd.crew.memory import available_bytes
from ssosd.crew.worker import serve
from ssosd.errors import Retriable
from ssosd.plumbing.forkserver import start_fork_server
from ssosd.station import Station

_TRIES = 3  # deaths of workers with one job before it is given up
_END_S = 5.0  # a worker that is told to end has ended long before


@dataclass(slots=True, eq=False)
class _Worker:
    process: BaseProcess
    connection: Connection
    job: Job | None = None


class Processes(Crew):
    """Worker processes, started when there is work for them.

    With less memory left than a job is likely to take it waits until another one has ended.

    Parameters
    ----------
    station : Station
    size : int
        Most processes at a time.
    """

    def __init__(self, *, station: Station, size: int) -> None:
        self._station = station
        self._size = size
        self._context = start_fork_server("ssosd.crew.worker")
        self._workers: list[_Worker] = []
        self._waiting: deque[Job] = deque()
        self._ended: deque[tuple[Job, Any]] = deque()
        self._deaths: Counter[int] = Counter()  # by id of the job

    @property
    def at_once(self) -> int:
        """See `Crew`."""
        return self._size

    @property
    def in_hand(self) -> int:
        """See `Crew`."""
        return len(self._waiting) + len(self._ended) + len(self._busy)

    @property
    def pids(self) -> list[int]:
        """Process numbers of the workers that have a job."""
        return [worker.process.pid for worker in self._busy if worker.process.pid is not None]

    @property
    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.job is not None]

    def give(self, job: Job) -> None:
        """See `Crew`."""
        self._waiting.append(job)
        self._hand_out()

    def take(self) -> tuple[Job, Any]:
        """See `Crew`."""
        while not self._ended:
            self._hand_out()
            by_connection = {worker.connection: worker for worker in self._busy}
            for connection in wait(list(by_connection)):
                self._hear(by_connection[connection])  # type: ignore[index]
        self._hand_out()
        return self._ended.popleft()

    def _hand_out(self) -> None:
        while self._waiting and self._has_memory_for(self._waiting[0]):
            idle = next((worker for worker in self._workers if worker.job is None), None)
            if idle is None and len(self._workers) >= self._size:
                return
            worker = idle or self._start()
            worker.job = self._waiting.popleft()
            try:
                worker.connection.send(worker.job)
            except (BrokenPipeError, ConnectionResetError):
                self._bury(worker)

    def _has_memory_for(self, job: Job) -> bool:
        if not self._busy:
            return True  # it will not become more by waiting
        left = available_bytes()
        return left is None or left >= job.needs_bytes

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs, self._station), daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _hear(self, worker: _Worker) -> None:
        try:
            outcome = worker.connection.recv()
        except (EOFError, OSError):  # in the middle of a large outcome it is an OSError
            self._bury(worker)
            return
        if worker.job is not None:
            self._deaths.pop(id(worker.job), None)
            self._ended.append((worker.job, outcome))
            worker.job = None

    def _bury(self, worker: _Worker) -> None:
        """A worker has died: do its job again, if it was not its job that kills them."""
        self._workers.remove(worker)
        worker.connection.close()
        worker.process.join()
        job, code = worker.job, worker.process.exitcode or 0
        if job is None:
            return
        self._deaths[id(job)] += 1
        if self._deaths[id(job)] < _TRIES:
            self._waiting.appendleft(job)
            return
        del self._deaths[id(job)]
        how = f"killed by {signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        error = Retriable(
            f"{job.subject}: {_TRIES} workers died with it, the last was {how}",
            next_step="out of memory? lower WORKERS or set MEMORY_LIMIT",
        )
        self._ended.append((job, job.failed(error)))

    def close(self) -> None:
        """See `Crew`; binaries that run are killed."""
        for worker in self._workers:
            worker.connection.close()
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_END_S)
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()
        self._workers.clear()
        self._waiting.clear()
