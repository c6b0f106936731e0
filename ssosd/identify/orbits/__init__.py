"""Our own ephemerides: known objects from a file of orbits on disk, without any network."""

from ssosd.identify.orbits.comets import read_comets
from ssosd.identify.orbits.known import known_objects_from_orbits
from ssosd.identify.orbits.mpcorb import count_orbits
from ssosd.identify.orbits.prepare import midnight_of, prepare_night

__all__ = ["count_orbits", "known_objects_from_orbits", "midnight_of", "prepare_night", "read_comets"]
