"""The configuration and the files it names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssosd.astromatic_setup import read_columns
from ssosd.doctor.finding import Finding
from ssosd.errors import Misconfigured
from ssosd.filters.settings import ChainSettings
from ssosd.headermap import load_map, read_rules
from ssosd.plumbing.resources import shipped
from ssosd.reports.context import DEMANDED

#: Set-up files: parameter, and how the file begins or which keyword it must have to be one.
_FILES = {
    "SEX_CONFIG": r"(?mi)^\s*DETECT_THRESH\s",
    "SEX_PARAMS": r"(?m)^\s*[A-Z][A-Z0-9_]+",
    "SEX_FILTER": r"\A\s*(#.*\n\s*)*CONV\b",
    "SEX_NNW": r"\A\s*(#.*\n\s*)*NNW\b",
    "SCAMP_CONFIG": r"(?mi)^\s*CROSSID_RADIUS\s",
    "SWARP_CONFIG": r"(?mi)^\s*[A-Z_]+\s+\S",
}
_INIT = "`ssosd init` copies working ones"


def check_configuration(config: Mapping[str, Any]) -> Finding:
    """Say where the configuration comes from and what is odd about it."""
    source = getattr(config, "source", None)
    detail = str(source) if source else "built-in defaults (no default.ssos in the working directory)"
    contradictions = list(getattr(config, "contradictions", tuple)())
    if contradictions:
        return Finding(
            name="configuration",
            state="fail",
            detail="; ".join(contradictions),
            next_step="see docs/parameters.md",
        )
    notes = list(getattr(config, "notes", ()))
    visits, fewest = config["EXPOSURES_PER_FIELD"], ChainSettings.from_mapping(config).fewest_detections
    if 0 < visits < fewest:
        notes.append(
            f"EXPOSURES_PER_FIELD {visits}, but a candidate needs {fewest} detections: see DETECTIONS"
        )
    if notes:
        return Finding(name="configuration", state="warn", detail="; ".join([detail, *notes]))
    return Finding(name="configuration", state="ok", detail=detail)


def check_setup_files(config: Mapping[str, Any]) -> list[Finding]:
    """Read each set-up file of the binaries; SEX_PARAMS must ask for all that the corridor works with."""
    findings = []
    for name, looks_like in _FILES.items():
        path = Path(config[name])
        try:
            text = _read_text(path, name)
        except Misconfigured as error:
            findings.append(Finding(name=name, state="fail", detail=error.message, next_step=error.next_step))
            continue
        if re.search(looks_like, text) is None:
            findings.append(
                Finding(name=name, state="fail", detail=f"{path}: is no such file", next_step=_INIT)
            )
            continue
        missing = sorted(needed_columns() - set(read_columns(path))) if name == "SEX_PARAMS" else []
        if missing:
            findings.append(
                Finding(
                    name=name,
                    state="fail",
                    detail=f"{path}: lacks {', '.join(missing)}",
                    next_step="add these lines to the file",
                )
            )
        else:
            findings.append(Finding(name=name, state="ok", detail=str(path)))
    return findings


def check_header_map(config: Mapping[str, Any]) -> Finding:
    """Count the rules of HEADER_MAP; a mistake in a map is its finding."""
    value = config["HEADER_MAP"]
    own = len(read_rules(value)) if isinstance(value, Path) else 0
    n_shipped = len(load_map(value).rules) - own
    named = f"{own} rules of {value}, " if own else ""
    return Finding(name="HEADER_MAP", state="ok", detail=f"{named}{n_shipped} shipped rules")


def check_image_files(config: Mapping[str, Any]) -> list[Finding]:
    """Look at the weight maps and the catalogue of bright stars, where they are wanted."""
    findings = []
    weights, stars = config["WEIGHT_IMAGES"], config["BRIGHT_SOURCES_CAT"]
    if weights is not None:
        count = sum(1 for file in Path(weights).iterdir() if ".weight" in file.name)
        findings.append(
            Finding(name="WEIGHT_IMAGES", state="ok", detail=f"{weights}: {count} weight maps")
            if count
            else Finding(
                name="WEIGHT_IMAGES",
                state="warn",
                detail=f"{weights}: no file named NAME.weight or NAME_EXT.weight",
                next_step="put them there, or set WEIGHT_IMAGES False",
            )
        )
    if config["FILTER_BRIGHT_SOURCES"] and isinstance(stars, Path):
        with stars.open("rb") as file:
            start = file.read(80)
        findings.append(
            Finding(name="BRIGHT_SOURCES_CAT", state="ok", detail=str(stars))
            if start
            else Finding(
                name="BRIGHT_SOURCES_CAT",
                state="fail",
                detail=f"{stars}: is empty",
                next_step="name a catalogue with RA, DEC and MAG, or REFCAT",
            )
        )
    return findings


def check_draft_header(config: Mapping[str, Any]) -> Finding:
    """Look for what ADES demands in the header of a draft; nothing else depends on it."""
    lacking = [name for name in DEMANDED.values() if config[name] in ((), "False", 0.0)]
    if not lacking:
        return Finding(name="drafts", state="ok", detail=f"by {', '.join(config['SUBMITTER'])}")
    return Finding(
        name="drafts",
        state="warn",
        detail=f"not ready to be sent: the MPC asks for {', '.join(lacking)}",
        next_step="set them in the configuration",
    )


def needed_columns() -> set[str]:
    """Give the quantities SExtractor must measure: those under the headings "needed" of the shipped list."""
    wanted, needed = False, set()
    for line in shipped("semp/ssos.param").read_text(encoding="utf-8").splitlines():
        if line.startswith("# ---"):
            wanted = "needed" in line
        elif wanted and line.strip():
            needed.add(line.split()[0])
    return needed


def _read_text(path: Path, name: str) -> str:
    """Text of a set-up file; `Misconfigured` when it is not there, may not be read or is no text."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}", next_step=f"correct {name}; {_INIT}") from error
    if "\0" in text:
        raise Misconfigured(f"{path}: is no text file", next_step=f"correct {name}; {_INIT}")
    return text
