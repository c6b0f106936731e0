"""The one list that every migration enters, in order."""

from __future__ import annotations

from sqlite_utils import Migrations

migrations = Migrations("ssosd")
