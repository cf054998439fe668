"""Rows of numbers on the host: benchmark tables, tables of one's own, scales, and all folds."""
