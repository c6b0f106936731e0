"""Choose and start the crew that fits the work."""

from __future__ import annotations

from ssosd.crew.base import Crew
from ssosd.crew.processes import Processes
from ssosd.crew.threads import Threads
from ssosd.station import Station

#: Files for which starting processes, about a second, is worth while where nobody says how many.
MANY_FILES = 60


def gather(n_files: int, *, station: Station, size: int | None = None, dask: str | None = None) -> Crew:
    """Start a crew.

    Parameters
    ----------
    n_files : int
        Files there are: for a few, threads of this process do as well as processes.
    station : Station
    size : int, optional
        Jobs done at once on this machine, in processes if more than one; WORKERS when not given.
    dask : str, optional
        Address of a Dask scheduler, or ``slurm:FILE``; see `ssosd.crew.cluster`.

    Raises
    ------
    Misconfigured
        The cluster cannot be reached or cannot be used.
    """
    if dask is not None:
        from ssosd.crew.cluster import Cluster

        return Cluster(station=station, address=dask)
    count = size or station.workers
    if count == 1 or (size is None and n_files < MANY_FILES):
        return Threads(station=station, size=count)
    return Processes(station=station, size=count)
