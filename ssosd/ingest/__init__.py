"""From files to exposures, catalogues and sequences."""
