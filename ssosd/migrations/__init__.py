"""The schema of the store, as named migrations, each applied in a transaction of its own.

Never edit a migration that has been released: append a new one to the newest module.
"""

from ssosd.migrations import first, results
from ssosd.migrations.registry import migrations

__all__ = ("first", "migrations", "results")
