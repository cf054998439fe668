"""What a program sets before it uses JAX; who imports the package decides that for himself."""

import os

import jax

__all__ = ["one_device_per_core", "usable_cores"]


def usable_cores() -> int:
    """CPU cores that this process may use, which may be fewer than there are."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def one_device_per_core() -> None:
    """Makes every usable core a device: XLA's own threads split a training worse.

    Raises:
        RuntimeError: JAX has been used already.
    """
    jax.config.update("jax_num_cpu_devices", usable_cores())
