"""What a program sets before it uses JAX; who imports the package decides that for himself."""

import contextlib
import os
import warnings
from pathlib import Path

import jax

from ncd_jax.data.cache import user_cache
from ncd_jax.kept_programs import keep_traced_programs
from ncd_jax.read.threads import usable_cores

__all__ = ["keep_compiled_programs", "one_device_per_core"]

_MOST_BYTES = 256 << 20
"""Some 20,000 programs of the usual size."""


def one_device_per_core() -> None:
    """Makes every usable core a device: XLA's own threads split a training worse.

    Raises:
        RuntimeError: JAX has been used already.
    """
    jax.config.update("jax_num_cpu_devices", usable_cores())


def keep_compiled_programs(folder: str | None = None) -> None:
    """Lets later processes use what this one compiles; a run is a hundred small programs.

    Args:
        folder: where to keep them, or `off`; by default what the environment variable
            `NCD_JAX_COMPILATION_CACHE` says in the same way, else what JAX's own variable
            `JAX_COMPILATION_CACHE_DIR` says, else `compiled` among the user's caches.

    Raises:
        OSError: the folder cannot be written.
    """
    chosen = folder or os.environ.get("NCD_JAX_COMPILATION_CACHE")
    if chosen == "off":
        jax.config.update("jax_enable_compilation_cache", False)
        return
    if not chosen and os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    path = Path(chosen).expanduser() if chosen else user_cache() / "compiled"
    path.mkdir(parents=True, exist_ok=True)
    (path / ".writable").touch()
    with contextlib.suppress(FileNotFoundError):  # somebody else deletes them at the moment
        _forget_least_recent(path, _MOST_BYTES)
    # A disk that fills up, say, costs time and nothing else.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    jax.config.update("jax_compilation_cache_dir", str(path))
    keep_traced_programs(path)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _forget_least_recent(folder: Path, most_bytes: int) -> None:
    """Deletes programs until the others fit.

    JAX can bound the folder too, but then reads all of it before it adds a program: measured
    0.1 s for each with a thousand there.
    """
    files = [(entry.stat(), entry.path) for entry in os.scandir(folder) if entry.is_file()]
    size = sum(stat.st_size for stat, _ in files)
    for stat, path in sorted(files, key=lambda file: max(file[0].st_atime, file[0].st_mtime)):
        if size <= most_bytes:
            return
        Path(path).unlink(missing_ok=True)
        size -= stat.st_size
