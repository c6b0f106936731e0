"""Memory that was freed is taken again, as the kernel counts it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_WORK = """
import resource
import numpy as np
from ssosd.plumbing.memory import keep_freed_memory
if {kept}:
    keep_freed_memory()
for _ in range(10):
    [np.ones(1 << 17) for _ in range(20)]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
def test_arrays_that_come_and_go_cost_no_pages() -> None:
    """Ten times 20 arrays of 1 MB, of 256 pages each."""

    def pages(*, kept: bool) -> int:
        code = _WORK.format(kept=kept)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
        return int(done.stdout)

    assert pages(kept=True) < pages(kept=False) - 100 * 256
