"""One run in memory: the problem, its answer, the model, calibration and scores. No file here."""
