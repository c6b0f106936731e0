"""The painter of nights: stars, galaxies, movers and flaws, with their truth."""
