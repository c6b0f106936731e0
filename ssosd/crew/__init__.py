"""Those who do the work of a replay: threads, processes or a Dask cluster, behind one interface.

A crew is given jobs and gives back their outcomes; it decides where and when, never what follows. Jobs are
values that can be sent anywhere: what they need is in them, what they find is in their outcome, and the one
writer of the store is the caller.
"""

from ssosd.crew.base import Crew, do_all
from ssosd.crew.gather import gather
from ssosd.crew.jobs import Extract, Identify, Job, Link, Look, TakeIn

__all__ = ("Crew", "Extract", "Identify", "Job", "Link", "Look", "TakeIn", "do_all", "gather")
