"""Pure clustering algorithms: masked, jit- and vmap-safe, tested against an oracle."""
