"""What is measured on candidates: cutouts, apertures, check plots; and the painter of skies."""
