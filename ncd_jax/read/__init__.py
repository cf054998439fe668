"""A table as people have it: its cells, and what was made of them. Labels are never looked at."""
