"""A night's drafts: what a person may send to the MPC after reading it. Nothing is sent."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ssosd import __version__
from ssosd.days import DAY_S
from ssosd.identify.triage import NEO_LIMIT
from ssosd.night.typed import BESIDE_IT, FROM_DRAFTS
from ssosd.plumbing.files import atomic_write_text
from ssosd.plumbing.text import counted
from ssosd.reports.ades.draft import render_ades
from ssosd.reports.ades.rows import NOTE2
from ssosd.reports.context import Context, reference_code
from ssosd.reports.lint.draft import lint_text
from ssosd.reports.lint.render import gathered_lines
from ssosd.reports.lint.sky import Sent
from ssosd.reports.mpc80 import render_draft
from ssosd.reports.names import already_sent, temporary_names
from ssosd.reports.pointings import pointing
from ssosd.reports.selection import GROUPS, are_artifacts, select_for_drafts, split_neos
from ssosd.station import Station
from ssosd.store import Store

FORMS = ("txt", "psv", "xml")
README = "README.txt"
POINTINGS = "pointings.json"
_MODES = {"CCD": "CCD", "CMOS": "CMO"}
#: The MPC's words for what a batch is of: https://minorplanetcenter.net/iau/info/commandlinesubmissions.html
_OBJECT_TYPES = dict.fromkeys(GROUPS, "Unclassified") | {"neo": "NEO"}
_TEST_SERVICE = "https://minorplanetcenter.net/submit_xml_test"
_NOTHING = "nothing to send"


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """One group of objects, in all forms."""

    group: str
    texts: Mapping[str, str]  # by form; empty when there is nothing to send
    n_observations: int
    problems: tuple[str, ...]  # for a person, before it is sent
    acknowledgement: str


def write_drafts(
    folder: Path,
    night: str,
    candidates: pd.DataFrame,
    *,
    station: Station,
    store: Store,
    breath: Callable[[], None] = lambda: None,
) -> None:
    """Write a night's drafts, what is to be known of them, and its pointings; idempotent.

    Parameters
    ----------
    folder : Path
        ``drafts`` of the night.
    night : str
    candidates : DataFrame
        The night's detections, with people's verdicts.
    station : Station
    store : Store
    breath : callable, optional
        Called again and again meanwhile.

    Raises
    ------
    Retriable, Misconfigured
        A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    exposures = store.rows("SELECT * FROM exposures WHERE night = ? ORDER BY mjd_mid, digest", [night])
    prepared = _prepared(night, candidates, station=station, store=store)
    drafts = [_draft(group, prepared, exposures, station=station, breath=breath) for group in GROUPS]
    wanted = set()
    for draft in drafts:
        for form, text in draft.texts.items():
            path = folder / f"{draft.group}.{form}"
            atomic_write_text(path, text)
            wanted.add(path.name)
            is_new = store.record_draft(
                night=night,
                kind=path.name,
                path=path,
                n_observations=draft.n_observations,
                digest=hashlib.blake2b(text.encode(), digest_size=16).hexdigest(),
            )
            for problem in draft.problems if is_new and form == "txt" else ():
                store.event("warning", f"{night}/{draft.group}", problem)
    pointings, without = _pointings(exposures, night, code=station.site.code, store=store)
    atomic_write_text(folder / POINTINGS, json.dumps(pointings, indent=1) + "\n")
    atomic_write_text(folder / README, _readme(prepared, drafts, without=without, station=station))
    for path in folder.iterdir():  # whatever has nothing to send any more, drafts of older versions too
        if path.name not in {*wanted, README, POINTINGS}:
            path.unlink()
    store.keep_drafts(night, wanted)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Prepared:
    """What the drafts of a night are made of."""

    night: str
    groups: Mapping[str, pd.DataFrame]  # rows by group, those that were sent left out
    names: Mapping[str, str]  # trkSub by candidate
    scores: Mapping[str, float]  # NEO_SCORE of all that may be sent and is not known, by candidate
    extended: Mapping[str, float]  # EXTENDED of them, mag
    n_waiting: Mapping[str, int]  # by group, candidates that DRAFT_POLICY leaves out
    n_sent: int  # positions left out as they were sent
    n_single: int  # and later ones of what was sent, as there is only one of each
    recalled: Sequence[str]  # candidates that were sent and are called artifacts
    sent: Sequence[Sent]  # the ledger of all nights


def _prepared(night: str, candidates: pd.DataFrame, *, station: Station, store: Store) -> _Prepared:
    """Choose and name; what was sent keeps its name and is not written again."""
    sent = store.rows("SELECT night, key, stn, mjd, ra_deg, dec_deg FROM sent_positions")
    gone, taken = already_sent(candidates, [row for row in sent if row["night"] == night])
    policy = station.config["DRAFT_POLICY"]
    names = temporary_names(candidates, night=night, taken=taken)
    sendable = select_for_drafts(candidates.assign(SENT=gone), policy="ALL")
    groups, unsent = (_groups(candidates[~gone], names, policy=p) for p in (policy, "ALL"))
    n_sent = int(gone.sum())
    n_later = sum(int((~rows["SENT"]).sum()) for rows in sendable.values())
    waiting = {name: set(rows["CANDIDATE"]) - set(groups[name]["CANDIDATE"]) for name, rows in unsent.items()}
    not_known = [sendable[name] for name in ("unknown", "unchecked")]
    return _Prepared(
        night=night,
        groups=groups,
        names=names,
        scores=_values(not_known, "NEO_SCORE"),
        extended=_values(not_known, "EXTENDED"),
        n_waiting={name: len(candidates) for name, candidates in waiting.items()},
        n_sent=n_sent,
        n_single=n_later - sum(len(rows) for rows in unsent.values()),
        recalled=sorted(set(candidates[gone & are_artifacts(candidates)]["CANDIDATE"])) if n_sent else [],
        sent=[
            Sent(stn=row["stn"], mjd=row["mjd"], ra_deg=row["ra_deg"], dec_deg=row["dec_deg"]) for row in sent
        ],
    )


def _groups(candidates: pd.DataFrame, names: Mapping[str, str], *, policy: str) -> dict[str, pd.DataFrame]:
    """Rows of each of `GROUPS`; candidates of one name are one object."""
    chosen = select_for_drafts(candidates, policy=policy)
    return {**chosen, **split_neos(chosen["unknown"], limit=NEO_LIMIT, names=names)}


def _values(tables: Sequence[pd.DataFrame], column: str) -> dict[str, float]:
    """The value that a column has for each candidate, of those who have one."""
    found: dict[str, float] = {}
    for rows in tables:
        if not rows.empty:
            first: pd.Series = rows.groupby("CANDIDATE")[column].first().dropna()
            found |= dict(zip(first.index.astype(str), first.tolist(), strict=True))
    return found


def _draft(
    group: str,
    prepared: _Prepared,
    exposures: Sequence[Mapping[str, Any]],
    *,
    station: Station,
    breath: Callable[[], None],
) -> Draft:
    """Render and lint the draft of one group."""
    config, rows = station.config, prepared.groups[group]
    mode, catalogue, code = _MODES[config["DETECTOR"]], reference_code(config), config["OBSERVATORY_CODE"]
    context = header_context(station, group=group, night=prepared.night)
    eighty = render_draft(
        candidates=rows,
        code=code,
        night=prepared.night,
        designations=prepared.names,
        header=context.mpc80_header(ast_cat=catalogue),
        note2=NOTE2[mode],
    )
    breath()
    ades = render_ades(
        candidates=rows,
        code=code,
        night=prepared.night,
        context=context,
        ast_cat=catalogue,
        mode=mode,
        designations=prepared.names,
    )
    texts = {"txt": eighty.text, "psv": ades.psv, "xml": ades.xml}
    times = [(row["mjd_mid"] - row["exptime_s"] / 2.0 / DAY_S, row["exptime_s"]) for row in exposures]
    problems = [*eighty.problems, *ades.problems] if len(rows) else []
    for form, text in texts.items():
        breath()
        if text:
            found = lint_text(text, exposures=times, sent=prepared.sent)
            problems += gathered_lines(found, name=f"{group}.{form}")
    return Draft(
        group=group,
        texts={form: text for form, text in texts.items() if text},
        n_observations=eighty.n_observations,
        problems=tuple(dict.fromkeys(problems)),
        acknowledgement=context.acknowledgement,
    )


def header_context(station: Station, *, group: str, night: str) -> Context:
    """The facts of the drafts' headers, as configured; nothing is made up."""
    c = station.config

    def told(name: str) -> str:
        return "" if c[name] == "False" else str(c[name])

    return Context(
        submitter=", ".join(c["SUBMITTER"]),
        observers=c["OBSERVERS"],
        measurers=c["MEASURERS"],
        design=told("TELESCOPE_DESIGN"),
        aperture_m=c["TELESCOPE_APERTURE"] or None,
        detector=c["DETECTOR"],
        f_ratio=c["TELESCOPE_FRATIO"] or None,
        telescope=told("TELESCOPE"),
        institution=told("INSTITUTION"),
        contact=told("CONTACT"),
        email=", ".join(c["AC2"]),
        acknowledgement=f"{c['OBSERVATORY_CODE']} {night} {group}",
        comments=(told("COMMENT"),) if told("COMMENT") else (),
        software=(("astrometry", "SCAMP"), ("objectDetection", f"ssosd {__version__}")),
    )


def _pointings(
    exposures: Sequence[Mapping[str, Any]], night: str, *, code: str, store: Store
) -> tuple[list[dict[str, Any]], int]:
    """Pointings of the exposures whose limiting magnitude is known, and how many have none."""
    rows = store.rows(
        "SELECT q.exposure, q.limit_5sigma FROM exposure_quality q JOIN sequences s ON s.id = q.sequence"
        " WHERE s.night = ? AND q.limit_5sigma IS NOT NULL",
        [night],
    )
    limits = {row["exposure"]: row["limit_5sigma"] for row in rows}
    done = [pointing(row, limits[row["digest"]], code=code) for row in exposures if row["digest"] in limits]
    return done, len(exposures) - len(done)


def _readme(prepared: _Prepared, drafts: Sequence[Draft], *, without: int, station: Station) -> str:
    """What each draft is, whether it is ready, and the command that would test-submit it."""
    config, night = station.config, prepared.night
    mail = ", ".join(config["AC2"]) or "YOUR@ADDRESS"
    lines = [f"Drafts of the night {night}, policy {config['DRAFT_POLICY']}. ssosd sends nothing."]
    lines += [BESIDE_IT, ""]
    if near := sorted(((s, c) for c, s in prepared.scores.items() if s >= NEO_LIMIT), reverse=True):
        lines += [f"NEO score {NEO_LIMIT:.0f} or more and no known object, in a draft or not:"]
        lines += [f"  {candidate}  {score:.0f}" for score, candidate in near]
        lines += [""]
    if prepared.extended:
        lines += ["More light than a star of their shape, as comets have, and no known object (mag):"]
        lines += [f"  {candidate}  {more:.2f}" for candidate, more in sorted(prepared.extended.items())]
        lines += [""]
    for draft in drafts:
        waiting = _waiting(prepared.n_waiting[draft.group], night, policy=config["DRAFT_POLICY"])
        if not draft.texts:
            lines += [f"{draft.group}: {_NOTHING}", *waiting, *(f"  {p}" for p in draft.problems), ""]
            continue
        state = f"{counted(len(draft.problems), 'thing')} to look at" if draft.problems else "ready"
        lines += [f"{draft.group}: {counted(draft.n_observations, 'observation')}, {state}", *waiting]
        lines += [f"  {problem}" for problem in draft.problems]
        form = {"ack": draft.acknowledgement, "ac2": mail, "obj_type": _OBJECT_TYPES[draft.group]}
        fields = [*(f"{name}={value}" for name, value in form.items()), f"source=<{draft.group}.xml"]
        lines += [
            f"  ACK {draft.acknowledgement}",
            f"  test  curl {_TEST_SERVICE} {' '.join(f'-F {shlex.quote(field)}' for field in fields)}",
            f"  then  ssosd mpc {night} {FROM_DRAFTS} --sent {draft.group}",
            "",
        ]
    if prepared.n_sent:
        lines += [f"{counted(prepared.n_sent, 'position', 'are')} left out: they were sent before"]
    if prepared.n_single:
        later = counted(prepared.n_single, "later position", "are")
        lines += [f"{later} left out: a single one of an object that was sent"]
    for candidate in prepared.recalled:
        lines += [
            f"{candidate} ({prepared.names[candidate]}) was sent and is called an artifact: "
            "ask the MPC to delete its observations"
        ]
    if without:
        lines += [f"{POINTINGS} lacks {counted(without, 'exposure')} whose limiting magnitude is not known"]
    return "\n".join(lines).rstrip() + "\n"


def _waiting(count: int, night: str, *, policy: str) -> list[str]:
    """How many candidates a draft lacks because nobody called them asteroids, and what to do about it."""
    if not count:
        return []
    candidates = counted(count, "candidate", "wait")
    return [
        f"  {candidates} for the verdict asteroid, as DRAFT_POLICY {policy} has it: "
        f"ssosd inspect {night} {FROM_DRAFTS}"
    ]
