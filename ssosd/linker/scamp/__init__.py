"""SCAMP: astrometry, and the seed's linking."""
