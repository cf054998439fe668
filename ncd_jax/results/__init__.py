"""Records on disk, plots, and the report of a finished run."""
