"""Who is it: candidates against known objects."""
