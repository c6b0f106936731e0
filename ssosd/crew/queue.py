"""A Dask cluster of our own in a batch queue, through dask-jobqueue."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ssosd.config.kinds import nearest
from ssosd.errors import Misconfigured

try:
    import dask_jobqueue
except ModuleNotFoundError as missing:
    raise Misconfigured("no package dask-jobqueue", next_step="pip install 'ssosd[cluster]'") from missing

_QUEUES = {
    "slurm": dask_jobqueue.SLURMCluster,
    "pbs": dask_jobqueue.PBSCluster,
    "sge": dask_jobqueue.SGECluster,
    "lsf": dask_jobqueue.LSFCluster,
    "htcondor": dask_jobqueue.HTCondorCluster,
    "oar": dask_jobqueue.OARCluster,
}
_NUMBERS = ("jobs", "at_least", "at_most")


def start_cluster(address: str) -> Any:
    """Start a scheduler here and ask a batch queue for workers.

    Parameters
    ----------
    address : str
        ``QUEUE:FILE``, QUEUE one of slurm, pbs, sge, lsf, htcondor and oar. FILE is TOML: ``jobs``, or
        ``at_least`` and ``at_most``, say how many jobs are queued; all that is in the table ``[worker]`` goes
        to dask-jobqueue's class for the queue (``cores``, ``memory``, ``walltime``, ...).

    Returns
    -------
    dask_jobqueue.JobQueueCluster
        A context manager, at whose end the jobs are cancelled.

    Raises
    ------
    Misconfigured
        No such queue or file, or what is in it is not understood.
    """
    kind, _, name = address.partition(":")
    if kind not in _QUEUES:
        raise Misconfigured(
            f"--dask {address}: no queue {kind!r}",
            next_step=f"{nearest(kind, list(_QUEUES))}? or tcp://HOST:PORT",
        )
    try:
        given = tomllib.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Misconfigured(
            f"--dask {address}: {error}", next_step="docs/cluster.md has an example"
        ) from error
    unknown = sorted(given.keys() - {*_NUMBERS, "worker"})
    if unknown:
        raise Misconfigured(
            f"{name}: {', '.join(unknown)}: not known",
            next_step=f"allowed are {', '.join(_NUMBERS)}, [worker]",
        )
    try:
        cluster = _QUEUES[kind](**{"processes": 1, **given.get("worker", {})})
    except (TypeError, ValueError) as error:
        raise Misconfigured(f"{name}: [worker]: {error}", next_step="see dask-jobqueue's pages") from error
    if "at_most" in given:
        cluster.adapt(minimum_jobs=given.get("at_least", 0), maximum_jobs=given["at_most"])
    else:
        cluster.scale(jobs=given.get("jobs", 1))
    return cluster
