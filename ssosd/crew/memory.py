"""How much memory is left on this machine, as the kernel and the control group say."""

from __future__ import annotations

from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")


def available_bytes(*, meminfo: Path = Path("/proc/meminfo"), group: Path = _GROUP) -> int | None:
    """Bytes that can be had without swapping; None where nobody says.

    Parameters
    ----------
    meminfo : Path
        The kernel's account (proc(5), MemAvailable).
    group : Path
        Folder of the control group (cgroup v2: memory.max less memory.current), as in a container.
    """
    said = [value for value in (_of_machine(meminfo), _of_group(group)) if value is not None]
    return min(said, default=None)


def _of_machine(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(found[0]) if found else None


def _of_group(group: Path) -> int | None:
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        current = (group / "memory.current").read_text(encoding="ascii").strip()
        cached = (group / "memory.stat").read_text(encoding="ascii").split("inactive_file ")[-1].split()[0]
    except OSError:
        return None
    return None if limit == "max" else int(limit) - int(current) + int(cached)
