"""The benchmark: datasets x methods x {k known, k unknown} x seeds, resumed cell by cell."""
