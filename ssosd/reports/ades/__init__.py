"""Drafts in ADES, as PSV and XML."""
