"""Our own ephemerides: known objects from a file of orbits on disk, without any network."""

from ssosd.identify.orbits.known import known_objects_from_orbits

__all__ = ["known_objects_from_orbits"]
