"""Novel class discovery in tables, on JAX."""
