"""Replay: whole archived nights through the corridor, from folders of files."""

from ssosd.replay.finding import data_folders, find_files
from ssosd.replay.outcome import Replayed
from ssosd.replay.run import replay
from ssosd.replay.stopping import stoppable
from ssosd.replay.strays import account_for

__all__ = ("Replayed", "account_for", "data_folders", "find_files", "replay", "stoppable")
