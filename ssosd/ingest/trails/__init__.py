"""Stars that are trails, as the telescope followed something else: each is catalogued as a whole."""
