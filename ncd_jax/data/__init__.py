"""Tables in, on the host: readers, benchmark tables, standardisation, hidden-class folds."""
