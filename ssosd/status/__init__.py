"""`ssosd status`: how the daemon is and how the night goes, read from the store and the lock alone.

Nothing here writes anything, and nothing slow is imported: no numpy, pandas, astropy, sqlite-utils or rich.
"""

from ssosd.status.read import EXIT_FINE, EXIT_NO_STORE, EXIT_NOT_RUNNING, EXIT_TROUBLE, Status, read_status
from ssosd.status.render import render_status
from ssosd.status.snapshot import STORE_NAME
from ssosd.status.watch import watch_status

__all__ = [
    "EXIT_FINE",
    "EXIT_NOT_RUNNING",
    "EXIT_NO_STORE",
    "EXIT_TROUBLE",
    "STORE_NAME",
    "Status",
    "read_status",
    "render_status",
    "watch_status",
]
