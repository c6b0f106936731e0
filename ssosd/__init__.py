"""ssosd: the nightly observatory daemon that finds Solar System objects."""

import os

__version__ = "0.1.0"

# Processes fill the cores, and sums do not depend on how many there are: linear algebra has one thread.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
