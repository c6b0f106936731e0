"""What is written from the table: default.ssos and docs/parameters.md."""

from __future__ import annotations

from ssosd.config.parameter import Parameter
from ssosd.config.reading import quoted
from ssosd.config.table import REPLACED, WITHOUT_EFFECT, sections

_INTRODUCTION = """\
# Parameters

<!-- Written by `python -m ssosd.config` from the table in ssosd/config: change it there. -->

A configuration is a plain ASCII file with one parameter a line: its name, tabs or spaces, its value,
and after `#` a comment. Empty lines and lines that begin with `#` are not read.

    PM_UP    300     # fastest motion, arcsec/h

- `-c FILE` names the file; without it `default.ssos` in the working directory is read, and without
  that the defaults below hold. `ssosd init` writes a `default.ssos` and the set-up files in `semp/`
  to begin with.
- Every parameter is also a flag, which wins over the file: `--PM_UP 60` (or `-PM_UP 60`).
- In paths `~`, `$HOME` and other environment variables are expanded. A relative path is looked for
  beside the configuration file (in the working directory when there is none), then in the installed
  package; the path of a flag in the working directory first.
- The value is one word; spaces after commas are forgiven. A value with spaces goes in quotes:
  `SEX_CONFIG "/data/my set-up/ssos.sex"`. Words behind the value are not read, with a note.
- Those that deserve a look before the first night are in [guide.md](guide.md#2-your-configuration).
- An unknown name, a name given twice and a value that is not allowed are errors; all of them are
  reported at once.

"""


def render_default_ssos() -> str:
    """The text of default.ssos: every parameter with its default and a comment, plain ASCII."""
    lines = [
        "# Configuration of ssosd: PARAMETER  value  # comment",
        "# Explained in docs/parameters.md.",
        "# Relative paths are looked for beside this file, then in the package.",
    ]
    for title, parameters in sections().items():
        lines += ["", f"# --- {title}", ""]
        lines += [f"{p.name:<22} {quoted(p.default):<26} # {p.comment}" for p in parameters]
    return "\n".join(lines) + "\n"


def render_docs() -> str:
    """The text of docs/parameters.md: what each parameter means, by section."""
    parts = [_INTRODUCTION, _index()]
    for title, parameters in sections().items():
        parts.append(f"## {title}\n\n")
        parts += [_paragraph(parameter) for parameter in parameters]
    parts.append("## Names of older seed files\n\n")
    parts += [f"- `{name}` is accepted and {why}.\n" for name, why in WITHOUT_EFFECT.items()]
    parts += [f"- `{old}` is refused: it is now `{new}`.\n" for old, new in REPLACED.items()]
    return "".join(parts)


def _index() -> str:
    """All names by section, each a link."""
    rows = [
        f"| {title} | {', '.join(f'[{p.name}](#{p.name.lower()})' for p in parameters)} |"
        for title, parameters in sections().items()
    ]
    return "\n".join(["| chapter | parameters |", "|---|---|", *rows, "", ""])


def _paragraph(parameter: Parameter) -> str:
    facts = [f"Default: `{parameter.default}`", f"allowed: {parameter.kind.allowed}"]
    facts += [f"unit: {parameter.unit}"] if parameter.unit else []
    facts += [f"used by: {parameter.stage}", f"in Python: `{parameter.type_name}`"]
    return f"### {parameter.name}\n\n{parameter.doc}\n\n{' · '.join(facts)}\n\n"
