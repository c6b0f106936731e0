"""Synthetic movers painted into copies of the night's own exposures."""
