"""The morning report: one HTML file that needs nothing else."""
