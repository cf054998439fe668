"""How benchmarks measure: medians of turns side by side, compile time apart, distance to the floor.

A shared machine changes its mind, so ours and the peer take turns and what is reported is the
median of the ratios of neighbours. The floor is the time that the arithmetic or the traffic of
the shapes would take at this machine's measured matrix rate and copy bandwidth; nothing can be
faster, and `times_floor` says how many times it is that far.
"""

import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.read.threads import usable_cores
from ncd_jax.store.records import describe_environment

__all__ = [
    "Compared",
    "Compiled",
    "Cost",
    "Floor",
    "compare",
    "compile_program",
    "cpu_seconds",
    "measure_floor",
    "timed",
    "write_results",
]

RESULTS = Path(os.environ.get("NCD_JAX_RESULTS", Path(__file__).parent / "results"))


class Cost(NamedTuple):
    """What a computation takes at least, counted from its shapes.

    Attributes:
        flops: floating-point operations; a multiplication and an addition are two.
        bytes: read from and written to memory, everything that is used once counted once.
    """

    flops: float
    bytes: float


class Floor(NamedTuple):
    """What the machine can do.

    Attributes:
        flops_per_second: of a large float32 matrix product.
        bytes_per_second: read and written by a large copy.
    """

    flops_per_second: float
    bytes_per_second: float

    @property
    def facts(self) -> dict[str, float]:
        """Both, for a file of results."""
        return {
            "gigaflops": round(self.flops_per_second / 1e9),
            "gigabytes_per_second": round(self.bytes_per_second / 1e9, 1),
        }

    def seconds(self, cost: Cost) -> float:
        """The least time for that, arithmetic and traffic going on at once."""
        return max(cost.flops / self.flops_per_second, cost.bytes / self.bytes_per_second)


class Compiled(NamedTuple):
    """A compiled program, how long that took, and what it needs.

    Attributes:
        run: calls it with the arguments that it was compiled for, and waits for its result.
        seconds: of tracing and compilation, with nothing from a cache.
        megabytes: arguments, results and everything in between at its peak.
        call: calls it with other arguments of the same shapes.
    """

    run: Callable[[], Any]
    seconds: float
    megabytes: float
    call: Callable[..., Any]


class Compared(NamedTuple):
    """Times of ours and of the peer, measured in turns.

    Attributes:
        ours: median seconds.
        peer: median seconds.
        ratio: median over the turns of peer / ours; above 1, ours is faster.
    """

    ours: float
    peer: float
    ratio: float


def compile_program(function: Callable[..., Any], *arguments: Any) -> Compiled:
    """Compiles a function of arrays for these arguments."""
    start = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    seconds = time.perf_counter() - start
    need: Any = program.memory_analysis()
    total = need.temp_size_in_bytes + need.argument_size_in_bytes + need.output_size_in_bytes

    def call(*arguments: Any) -> Any:
        return jax.block_until_ready(program(*arguments))

    return Compiled(lambda: call(*arguments), seconds, total / 1e6, call)


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and seconds."""
    start = time.perf_counter()
    found = jax.block_until_ready(run())
    return found, time.perf_counter() - start


def cpu_seconds(run: Callable[[], Any]) -> float:
    """CPU seconds of all threads: what others do on the machine hardly changes them."""
    start = time.process_time()
    jax.block_until_ready(run())
    return time.process_time() - start


def compare(ours: Callable[[], Any], peer: Callable[[], Any], turns: int = 3) -> Compared:
    """Times both in turns, after one call of each that does not count."""
    for warm_up in (ours, peer):
        warm_up()
    pairs = np.array([(timed(ours)[1], timed(peer)[1]) for _ in range(turns)])
    a, b = np.median(pairs, axis=0)
    return Compared(float(a), float(b), float(np.median(pairs[:, 1] / pairs[:, 0])))


def measure_floor(n: int = 2048, megabytes: int = 256) -> Floor:
    """Measures the matrix rate and the copy bandwidth, best of five."""
    a = jnp.ones((n, n), jnp.float32)
    product = compile_program(jnp.matmul, a, a).run
    long = jnp.ones(megabytes * 2**18, jnp.float32)
    copy = compile_program(lambda x: x + 1.0, long).run
    return Floor(2.0 * n**3 / _best(product), 2.0 * long.nbytes / _best(copy))


def write_results(name: str, rows: Iterable[dict[str, Any]], **facts: Any) -> None:
    """Writes `results/<name>.json` with the machine's description, and prints a table."""
    rows = list(rows)
    report = {
        "environment": {**describe_environment(), "cores": usable_cores()},
        **facts,
        "rows": rows,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    cells = [columns, *[[str(row.get(column, "")) for column in columns] for row in rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))


def _best(run: Callable[[], Any], turns: int = 5) -> float:
    run()
    return min(timed(run)[1] for _ in range(turns))
