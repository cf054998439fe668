"""Asking a person: which question, what an answer changes, and what the next one would bring."""
