"""Training, cross-validation by hidden classes, and the search over candidates."""
