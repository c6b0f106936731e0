"""``python -m ssosd.config``: write default.ssos and docs/parameters.md from the table, in a checkout."""

from __future__ import annotations

from pathlib import Path

from ssosd.config.places import package_folder
from ssosd.config.render import render_default_ssos, render_docs
from ssosd.errors import Misconfigured, SsosdError
from ssosd.plumbing.files import atomic_write_text


def generated(root: Path) -> dict[Path, str]:
    """The generated files of a checkout with what they should hold."""
    return {
        root / "ssosd" / "default.ssos": render_default_ssos(),
        root / "docs" / "parameters.md": render_docs(),
    }


def main(root: Path) -> None:
    """Write the generated files.

    Raises
    ------
    Misconfigured
        `root` is not a checkout of the project, or cannot be written to.
    """
    if not (root / "pyproject.toml").is_file():
        raise Misconfigured(f"{root}: not a checkout of ssosd", next_step="run it in a checkout")
    for path, text in generated(root).items():
        atomic_write_text(path, text)
        print(path)


if __name__ == "__main__":
    try:
        main(package_folder().parent)
    except SsosdError as error:
        raise SystemExit(str(error)) from None
