"""Working directory, records and model files: the only place that writes."""
