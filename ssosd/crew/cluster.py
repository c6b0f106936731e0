"""A crew on a Dask cluster whose workers see the same files as we do."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ssosd.crew.base import Crew
from ssosd.crew.jobs import Job
from ssosd.crew.there import Orders, do_there
from ssosd.errors import Misconfigured, Retriable
from ssosd.station import Station

try:
    import distributed
except ModuleNotFoundError as missing:
    raise Misconfigured("no package distributed", next_step="pip install 'ssosd[cluster]'") from missing

_CONNECT_S = 30.0
_FIRST_WORKER_S = 600.0  # a queue may let us wait


class Cluster(Crew):
    """Workers of a Dask cluster.

    A job whose worker dies is given to another one by Dask itself, as often as its
    ``distributed.scheduler.allowed-failures`` allows. Workers need one thread each: the work is in processes
    of its own.

    Parameters
    ----------
    station : Station
    address : str
        ``tcp://HOST:PORT`` of a scheduler, the path of its scheduler file, or ``QUEUE:FILE`` as in
        `ssosd.crew.queue`.

    Raises
    ------
    Misconfigured
        No scheduler there, or no workers come.
    """

    def __init__(self, *, station: Station, address: str) -> None:
        self._under_way: dict[Any, Job] = {}
        with ExitStack() as to_close:
            where: Any = address
            if "://" not in address and ":" in address:
                from ssosd.crew.queue import start_cluster

                where = to_close.enter_context(start_cluster(address))
            self._client = to_close.enter_context(_connect(where, named=address))
            self._orders = Orders.of(station)
            to_close.callback(self._orders.token.unlink, missing_ok=True)
            self._results = distributed.as_completed()
            self._to_close = to_close.pop_all()

    @property
    def at_once(self) -> int:
        """See `Crew`; workers may come and go."""
        return max(1, sum(self._client.nthreads().values()))

    @property
    def in_hand(self) -> int:
        """See `Crew`."""
        return len(self._under_way)

    def give(self, job: Job) -> None:
        """See `Crew`."""
        future = self._client.submit(do_there, job, self._orders, pure=False)
        self._under_way[future] = job
        self._results.add(future)

    def take(self) -> tuple[Job, Any]:
        """See `Crew`."""
        future = next(self._results)
        job = self._under_way.pop(future)
        error = future.exception()
        if error is None:
            return job, future.result()
        if isinstance(error, Misconfigured):
            raise error
        said = Retriable(
            f"{job.subject}: given up by the cluster: {type(error).__name__}: {error}",
            next_step="the logs of the Dask workers say more",
        )
        return job, job.failed(said)

    def close(self) -> None:
        """See `Crew`; what a worker has begun it ends, and nobody takes it."""
        self._client.cancel(list(self._under_way), force=True)
        self._under_way.clear()
        self._to_close.close()


def _connect(where: Any, *, named: str) -> distributed.Client:
    is_file = isinstance(where, str) and "://" not in where
    if is_file and not Path(where).is_file():
        raise Misconfigured(
            f"--dask {named}: no such scheduler file",
            next_step="give tcp://HOST:PORT, a scheduler file or slurm:FILE",
        )
    try:
        client = (
            distributed.Client(scheduler_file=where, timeout=_CONNECT_S)
            if is_file
            else distributed.Client(where, timeout=_CONNECT_S)
        )
        client.wait_for_workers(1, timeout=_FIRST_WORKER_S)
    except (OSError, TimeoutError) as error:
        raise Misconfigured(
            f"--dask {named}: no cluster answers: {error}",
            next_step="start `dask scheduler` and `dask worker ADDRESS --nthreads 1`, or look at the queue",
        ) from error
    return client
