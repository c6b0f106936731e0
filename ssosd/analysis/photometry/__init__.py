"""Zero points, magnitudes and limits from the field's own stars."""
