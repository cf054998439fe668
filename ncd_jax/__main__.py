"""`python -m ncd_jax` is the command `ncd-jax`."""

from ncd_jax.cli import program

__all__ = ["program"]

if __name__ == "__main__":
    program()
