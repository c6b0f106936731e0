"""`python -m ssosd.cli` is the command `ssosd`."""

from ssosd.cli import main

main()
