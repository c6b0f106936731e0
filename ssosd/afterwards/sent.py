"""The ledger of submissions: the positions of a draft that a person says was sent."""

from __future__ import annotations

import shlex
from pathlib import Path

from ssosd.errors import BadInput
from ssosd.reports.lint.draft import sightings_of
from ssosd.store import STORE_NAME, Store, existing_store


def record_sent(target: Path, *, night: str, draft: str) -> int:
    """Record a draft as sent, as its 80 columns are now; returns how many positions are new in the ledger.

    Parameters
    ----------
    target : Path
    night, draft : str
        The draft's group: known, unknown, neo or unchecked.

    Raises
    ------
    BadInput
        There is no such draft, or no position in it.
    Misconfigured
        There is no store here.
    """
    store_path = existing_store(target / STORE_NAME)
    path = target / night / "drafts" / f"{draft}.txt"
    if not path.is_file():
        there = sorted(p.stem for p in path.parent.glob("*.txt") if p.stem.islower())
        raise BadInput(
            f"{path}: no such draft", next_step=f"drafts of that night: {', '.join(there) or 'none'}"
        )
    text = path.read_text(encoding="utf-8", errors="replace")  # a person may have written into its header
    positions = [
        {"key": s.key, "stn": s.stn, "mjd": s.mjd, "ra_deg": s.ra_deg, "dec_deg": s.dec_deg}
        for s in sightings_of(text)
    ]
    if not positions:
        look = f"ssosd lint {shlex.quote(str(path))}"
        raise BadInput(f"{path}: no position in it can be read", next_step=f"`{look}` says why")
    with Store(store_path) as store:
        return store.record_sent(night, draft, positions)


def take_back_sent(target: Path, *, night: str, draft: str) -> tuple[int, str]:
    """Take back what was recorded last as sent of a draft, as when it was another night's.

    Parameters
    ----------
    target : Path
    night, draft : str

    Returns
    -------
    count : int
        Positions taken back.
    at : str
        When they were recorded, UTC.

    Raises
    ------
    BadInput
        Nothing of this draft is recorded as sent.
    Misconfigured
        There is no store here.
    """
    with Store(existing_store(target / STORE_NAME)) as store:
        count, at = store.take_back_sent(night, draft)
    if not count:
        raise BadInput(f"{night} {draft}: nothing is recorded as sent")
    return count, at
