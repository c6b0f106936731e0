"""From catalogues to sources: astrometry and linking of detections."""
