"""Header maps: small files that say what an instrument's headers mean; docs/maps.md describes every key."""

from ssosd.headermap.read import SHIPPED, load_map, read_rules
from ssosd.headermap.rule import HeaderMap, HeaderRule, Patterns, Pointing

__all__ = ("SHIPPED", "HeaderMap", "HeaderRule", "Patterns", "Pointing", "load_map", "read_rules")
