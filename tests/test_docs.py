"""The docs are tested: commands, flags, signals and tables of the store are all there, links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import click
import pytest

from ssosd.cli import main
from ssosd.config import PARAMETERS
from ssosd.config.flags import ParameterOption

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
TEXT = {page: page.read_text(encoding="utf-8") for page in PAGES}
EVERYTHING = "\n".join(TEXT.values())
#: What people read first, apart from the reference that is made from the command line itself.
PROSE = "\n".join(text for page, text in TEXT.items() if page.name != "commands.md")
VERBS = sorted(name for name, command in main.commands.items() if not command.hidden)


def load_tool():
    spec = importlib.util.spec_from_file_location("commands", REPOSITORY / "tools" / "commands.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_of_the_commands_is_fresh():
    tool = load_tool()
    assert tool.DOCS.read_text(encoding="utf-8") == tool.reference(), "run: python tools/commands.py"


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_is_told_of(verb):
    """In the README or a page that somebody wrote, not only in the reference."""
    assert f"ssosd {verb}" in PROSE


def own_options(command):
    return [p for p in command.params if isinstance(p, click.Option) and not isinstance(p, ParameterOption)]


@pytest.mark.parametrize("verb", VERBS)
def test_each_flag_of_a_verb_is_documented(verb):
    text = TEXT[REPOSITORY / "docs" / "commands.md"]
    part = re.search(rf"^## ssosd {re.escape(verb)}\n(.*?)(?=^## |\Z)", text, flags=re.DOTALL | re.MULTILINE)[
        1
    ]
    for option in own_options(main.commands[verb]):
        assert option.hidden or option.help, f"{verb} {option.opts}: no help"
        for flag in option.opts:
            assert option.hidden or f"`{flag}`" in part


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_and_argument_says_what_it_does(verb):
    command = main.commands[verb]
    assert command.help
    for argument in (p for p in command.params if isinstance(p, click.Argument)):
        assert (argument.metavar or argument.name).strip("[].").split(".")[0].upper() in command.help.upper()


def test_no_page_names_a_verb_or_parameter_flag_that_is_not_there():
    named = set(
        re.findall(
            r"(?<![\w/.-])(?<!-u )ssosd ([a-z][a-z-]+)(?= |`|$)", "\n".join(code_of(EVERYTHING)), re.MULTILINE
        )
    )
    assert named - set(VERBS) == set()
    flags = set(re.findall(r"--([A-Z][A-Z_]+[A-Z])\b", EVERYTHING))
    assert flags - set(PARAMETERS) == set()


def test_flags_of_the_examples_are_there():
    wrong, seen = [], 0
    for line in code_of(EVERYTHING):
        found = re.search(r'ssosd"?\)?"? ([a-z-]+)\b([^#|>]*)', line)
        if found is None or found[1] not in main.commands:
            continue
        known = {flag for option in main.commands[found[1]].params for flag in option.opts}
        given = re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", found[2])
        wrong += [(line, flag) for flag in given if flag not in {*known, "--help"}]
        seen += len(given)
    assert seen > 40
    assert wrong == []


def code_of(text):
    """What stands in backquotes or in blocks of shell commands."""
    blocks = re.findall(r"^```(?:console|sh)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line.lstrip("$ ") for block in blocks for line in block.splitlines()]
    return [*lines, *re.findall(r"`([^`\n]+)`", text)]


def test_every_parameter_has_its_entry():
    text = TEXT[REPOSITORY / "docs" / "parameters.md"]
    assert [name for name in PARAMETERS if name not in text] == []


def test_every_signal_that_is_caught_is_in_the_table():
    source = "\n".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "ssosd").rglob("*.py"))
    caught = set(re.findall(r"signal\.(SIG[A-Z]+)\b", source)) - {"SIGKILL"}
    table = set(
        re.findall(r"^\| (SIG[A-Z]+) \|", TEXT[REPOSITORY / "docs" / "daemon.md"], flags=re.MULTILINE)
    )
    assert {"SIGTERM", "SIGINT", "SIGHUP"} == table
    assert caught <= table


def anchors(text):
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", TEXT[page]):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page.name}: {link}"


def test_pages_that_the_program_names_are_there():
    source = "\n".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "ssosd").rglob("*.py"))
    named = set(re.findall(r"docs/[a-z]+\.md", source))
    assert "docs/guide.md" in named
    assert sorted(page for page in named if not (REPOSITORY / page).exists()) == []


def test_sql_of_the_docs_runs_on_a_store(tmp_path):
    """Each query that a page shows is one that the store of today answers."""
    import sqlite3

    from ssosd.store import STORE_NAME, Store

    Store(tmp_path / STORE_NAME).close()
    connection = sqlite3.connect(tmp_path / STORE_NAME)
    queries = re.findall(r"sqlite3 [^'\"\n]*(['\"])(.*?)\1", EVERYTHING)
    assert len(queries) >= 4
    for _, query in queries:
        connection.execute(query)
    table = TEXT[REPOSITORY / "docs" / "monitoring.md"].split("| table or view |")[1].split("\n\n")[0]
    listed = re.findall(r"`([a-z_]+)`", "".join(row.split("|")[1] for row in table.splitlines()[1:] if row))
    assert len(listed) > 10
    assert set(listed) <= {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()


def declared():
    """Names of the packages that pyproject.toml asks for, by where it does."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {group: {re.match(r"[\w-]+", line)[0] for line in lines} for group, lines in groups.items()}


def test_each_dependency_has_its_reason():
    reasons = TEXT[REPOSITORY / "docs" / "decisions" / "0001-dependencies.md"]
    named = {name for group in declared().values() for name in group}
    assert sorted(name for name in named if not re.search(rf"(?<![\w-]){name}(?![\w-])", reasons)) == []


def test_what_is_imported_is_asked_for():
    """Not left to be brought by another package."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "ssosd").rglob("*.py"))
    modules = set(re.findall(r"^ *(?:import|from) (\w+)\b", source, flags=re.MULTILINE))
    known = packages_distributions()
    wanted = {name for group, names in declared().items() if group != "dev" for name in names}
    foreign = modules - set(sys.stdlib_module_names) - {"ssosd"}
    assert {
        m for m in foreign if m in known and not wanted & {d.lower().replace("_", "-") for d in known[m]}
    } == set()
