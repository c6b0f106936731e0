"""The work on one exposure, one sequence: stages in order, results returned, nothing recorded.

These functions run in any thread or process; `ssosd.pipeline` decides what follows what and owns the store.
"""

from ssosd.work.asking import Access, Answers, ask_all
from ssosd.work.exposure import extract_exposure, key_of
from ssosd.work.failure import failure
from ssosd.work.identifying import Identified, identify
from ssosd.work.injecting import measure_completeness
from ssosd.work.result import SequenceResult, summary_columns
from ssosd.work.sequence import fingerprint, link_sequence, require_exposures, try_to_link

__all__ = (
    "Access",
    "Answers",
    "Identified",
    "SequenceResult",
    "ask_all",
    "extract_exposure",
    "failure",
    "fingerprint",
    "identify",
    "key_of",
    "link_sequence",
    "measure_completeness",
    "require_exposures",
    "summary_columns",
    "try_to_link",
)
