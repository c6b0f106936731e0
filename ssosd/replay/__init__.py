"""Replay: whole archived nights through the corridor, from folders of files."""

from ssosd.replay.estimate import Estimate, estimate
from ssosd.replay.finding import data_folders, find_files
from ssosd.replay.outcome import Replayed
from ssosd.replay.run import replay
from ssosd.replay.stopping import stoppable
from ssosd.replay.strays import account_for
from ssosd.replay.survey import Planned, Survey, survey

__all__ = (
    "Estimate",
    "Planned",
    "Replayed",
    "Survey",
    "account_for",
    "data_folders",
    "estimate",
    "find_files",
    "replay",
    "stoppable",
    "survey",
)
