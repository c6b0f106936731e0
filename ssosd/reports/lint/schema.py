"""The schema's verdict on an ADES document: ``submit.xsd`` of the package iau-ades, through lxml."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from lxml import etree

from ssosd.errors import BadInput, Misconfigured
from ssosd.reports.problem import Problem

VERSION = "2022"
#: Elements of one observation, and of residuals, which are not for submission.
OBSERVATIONS = ("optical", "offset", "occultation", "radar")


@cache
def schema_path() -> Path:
    """Where iau-ades has ``submit.xsd``.

    Raises
    ------
    Misconfigured
        The package is not installed, or came without it.
    """
    try:
        path = Path(str(distribution("iau-ades").locate_file("ades/data/xsd/submit.xsd")))
    except PackageNotFoundError as error:
        raise Misconfigured(
            "the schema of ADES is not here: the package iau-ades is missing",
            next_step="pip install iau-ades",
        ) from error
    if not path.is_file():
        raise Misconfigured(f"{path}: iau-ades came without its schema", next_step="pip install iau-ades")
    return path


@cache
def _schema() -> Any:
    return etree.XMLSchema(etree.parse(str(schema_path())))


@cache
def element_order() -> tuple[str, ...]:
    """Names of the elements of an optical observation, in the order that the schema demands."""
    return element_names("OpticalType")


@cache
def element_names(of_type: str) -> tuple[str, ...]:
    """Names of the elements of a complex type of the schema, in order, its groups opened."""
    root = etree.parse(str(schema_path())).getroot()
    xsd = "{http://www.w3.org/2001/XMLSchema}"
    named = {node.get("name"): node for node in root if node.get("name") and node.tag != f"{xsd}element"}
    names: list[str] = []

    def walk(node: Any) -> None:
        for child in node:
            if child.tag == f"{xsd}element":
                name = child.get("ref") or child.get("name")
                if name not in names:
                    names.append(name)
            elif child.tag == f"{xsd}group" and child.get("ref"):
                walk(named[child.get("ref")])
            elif isinstance(child.tag, str):
                walk(child)

    walk(named[of_type])
    return tuple(names)


def parse_xml(data: bytes) -> Any:
    """Root of a document, with the line of each element; entities and the network are left alone.

    Raises
    ------
    BadInput
        It is not well-formed; `Problem` wants the line, which the message begins with: ``line 12: ...``.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        line = error.lineno or 1
        raise BadInput(f"line {line}: {error.msg or 'not XML'}") from error
    if root.getroottree().docinfo.doctype:
        raise BadInput("line 1: a document type (DOCTYPE), which ADES has none of")
    return root


def lint_schema(root: Any) -> list[Problem]:
    """Validate a document; the same problem of the same element is said once.

    A version other than 2022 is one problem; the rest is held against the schema of 2022 all the same.

    Parameters
    ----------
    root : lxml element
        With `sourceline` set; its version is changed and changed back.
    """
    problems: list[Problem] = []
    version = root.get("version")
    if root.tag == "ades" and version != VERSION:
        said = f"version {version}: the schema in force is {VERSION}" if version else "no version is stated"
        problems.append(Problem(root.sourceline or 1, "version", "version", "error", said))
        root.set("version", VERSION)
    schema = _schema()
    schema.validate(root)
    seen: set[tuple[int, str]] = set()
    for entry in schema.error_log:
        column = _element(entry.path) or _quoted(entry.message)
        place = (entry.line, column)
        if place in seen:  # the union type's own words after those of its member
            continue
        seen.add(place)
        problems.append(Problem(entry.line, column, "schema", "error", _plain(entry.message)))
    if root.tag == "ades":
        if version is None:
            root.attrib.pop("version", None)
        else:
            root.set("version", version)
    return problems


def _element(path: str | None) -> str:
    """Name of the last element of a path."""
    last = (path or "").rsplit("/", 1)[-1]
    return re.sub(r"\[\d+\]$", "", last).strip("*")


def _quoted(message: str) -> str:
    match = re.search(r"Element '([^']+)'", message)
    return match[1] if match else ""


def _plain(message: str) -> str:
    """The validator's message in fewer words."""
    text = re.sub(r"^Element '[^']+'(?:, attribute '[^']+')?: ", "", message.strip())
    return re.sub(r"\[facet '(\w+)'\] ", "", text)
