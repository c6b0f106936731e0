"""Reference stars of Gaia, kept on the disk in tiles of the sky."""
