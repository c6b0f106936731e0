"""The filter chain: from sources to candidates, with a recorded reason for each rejection."""
