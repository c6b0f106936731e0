"""ssosd: the nightly observatory daemon that finds Solar System objects."""

__version__ = "0.1.0"
