"""The one list that every migration enters, in order."""

from __future__ import annotations

from sqlite_utils import Database, Migrations


class Registry(Migrations):
    """Migrations, several processes of which may be about to apply them, some of another version."""

    def bring_up_to_date(self, db: Database) -> None:
        """Apply all that are pending in one transaction; one process does it, others find it done."""
        if self.pending(db):
            with db.atomic():
                self.apply(db)

    def of_later_versions(self, db: Database) -> list[str]:
        """Names of those that were applied and that this version does not have."""
        own = {migration.name for migration in self._migrations}
        return [applied.name for applied in self.applied(db) if applied.name not in own]


migrations = Registry("ssosd")
