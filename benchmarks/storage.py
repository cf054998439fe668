"""What it costs to share a search: seconds a candidate for proposing and telling, nothing else.

python -m benchmarks.storage                # a journal file and SQLite
python -m benchmarks.storage --postgresql=postgresql://user@host/database

Workers take batches and tell made-up scores at once, so the storage is all there is to wait for.
`claim` is the median time of taking a batch, waiting for the other workers included, `tell` of
storing a result; `rate` is what all workers get through together. `trials` were there before.
"""

import json
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

from benchmarks.timing import write_results
from ncd_jax.methods import METHODS
from ncd_jax.tuning.proposals import Proposals
from ncd_jax.tuning.shared_storage import open_shared
from ncd_jax.tuning.trials import Trial

_POSTGRESQL = flags.DEFINE_string("postgresql", None, "URL of an empty database.")
_SMALL = flags.DEFINE_boolean("small", False, "Fewer candidates.")
_BATCH = flags.DEFINE_integer("batch", 8, "Candidates that a worker takes at once.")
_NAME = flags.DEFINE_string("name", "storage", "Name of the file in benchmarks/results.")

SPACE = METHODS["pbn"].space(30)


def main(_: list[str]) -> None:
    """Measures every storage with 1, 4 and 8 workers, and with trials in it."""
    n = 64 if _SMALL.value else 256
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        places = {"journal": f"{folder}/journal", "sqlite": f"sqlite:///{folder}/sqlite"}
        if _POSTGRESQL.value:
            places["postgresql"] = _POSTGRESQL.value
        for name, place in places.items():
            for workers in (1, 4, 8):
                rows.append(_measure(name, place, "quasi_random", workers, n, 0))
        for sampler in ("quasi_random", "tpe"):
            rows.append(_measure(name, place, sampler, 1, 4 * _BATCH.value, 4 * n))
    write_results(_NAME.value, rows, batch=_BATCH.value)


def _measure(
    name: str, place: str, sampler: str, workers: int, candidates: int, before: int
) -> dict[str, Any]:
    """One row of the table."""
    study = uuid.uuid4().hex
    _work(place, study, "quasi_random", before)
    start = time.perf_counter()
    found = _in_processes(workers, lambda: _work(place, study, sampler, before + candidates))
    seconds = time.perf_counter() - start
    claims = [claim for one in found for claim in one["claims"]]
    tells = [tell for one in found for tell in one["tells"]]
    return {
        "storage": name,
        "sampler": sampler,
        "trials": before,
        "workers": workers,
        "claim_ms_a_batch": round(1e3 * float(np.median(claims)), 1),
        "tell_ms_a_candidate": round(1e3 * float(np.median(tells)), 1),
        "candidates_a_second": round(candidates / seconds, 1),
    }


def _work(place: str, study: str, sampler: str, candidates: int) -> dict[str, Sequence[float]]:
    """Takes and tells until all are done."""
    storage = replace(open_shared(place, grace=60.0), study=study)
    proposals = Proposals(SPACE, {}, sampler, 0, storage)
    claims, tells = [], []
    with proposals.at_work():
        while len(proposals.finished()) < candidates:
            start = time.perf_counter()
            asked = proposals.ask(_BATCH.value, candidates)
            if not asked:
                time.sleep(0.05)
                continue
            claims.append(time.perf_counter() - start)
            for proposal in asked:
                start = time.perf_counter()
                score = 1.0 / (2 + proposal.number)
                proposals.tell(
                    Trial(proposal.number, proposal.hparams, score, (score,) * 5, (2.0,) * 5, 0)
                )
                tells.append(time.perf_counter() - start)
    return {"claims": claims, "tells": tells}


def _in_processes(n: int, work: Callable[[], Any]) -> list[Any]:
    """What `n` processes give that do the same at once; forked, as starting them takes longer."""
    with tempfile.TemporaryDirectory() as folder:
        pids = []
        for i in range(n):
            if pid := os.fork():
                pids.append(pid)
                continue
            try:
                Path(folder, str(i)).write_text(json.dumps(work()))
            finally:
                os._exit(0)
        for pid in pids:
            os.waitpid(pid, 0)
        return [json.loads(Path(folder, str(i)).read_text()) for i in range(n)]


if __name__ == "__main__":
    app.run(main)
