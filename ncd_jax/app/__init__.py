"""A local page to work in: one screen a file, and nothing that the command line cannot do."""
