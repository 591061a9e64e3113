"""What to do for a search, worked out from what is observed of it and nothing else."""
