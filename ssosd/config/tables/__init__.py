"""The one table of parameters, a file per chapter."""
