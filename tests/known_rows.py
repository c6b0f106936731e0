"""A comparison with the known objects that found none, as the store takes it."""

from __future__ import annotations

import pandas as pd

from ssosd.identify.expected import EXPECTED_COLUMNS
from ssosd.identify.known import known_table
from ssosd.store import KnownRows


def known_rows(**changes: object) -> KnownRows:
    fields = {
        "identified_with": "k",
        "unchecked_because": "",
        "wants": "",
        "known": known_table({}),
        "expected": pd.DataFrame(columns=list(EXPECTED_COLUMNS)),
        "limit": (float("nan"), ""),
    }
    return KnownRows(**{**fields, **changes})
