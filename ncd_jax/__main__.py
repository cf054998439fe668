"""`python -m ncd_jax` is the command `ncd-jax`."""

import sys

from ncd_jax.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
