"""One class or two? Known classes teach it of two groups at a time, so it holds for many."""
