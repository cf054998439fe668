"""Which workers of a shared search are alive, without comparing anybody's clock with another's.

A worker counts upwards in the storage while it works. Others look at the count now and then: one
that has stood still for the whole grace, by the watch of who looks, belongs to a worker that is
dead or has lost the storage.
"""

import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import optuna

from ncd_jax.tuning.storage import Storage

__all__ = ["Workers"]

_BEATS_IN_GRACE = 6
_GONE = -1


class Workers:
    """The workers of a study, this process among them.

    Args:
        study: the search.
        storage: where it is kept.
    """

    def __init__(self, study: optuna.Study, storage: Storage):
        self.me = uuid.uuid4().hex[:12]
        self._study = study
        self._storage = storage
        self._seen: dict[str, tuple[int, float]] = {}

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Gives signs of life for as long as the block runs; says in the end that it is over."""
        if not self._storage.shared:
            yield
            return
        over = threading.Event()
        self._say(0)
        thread = threading.Thread(target=self._beat, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            with suppress(ConnectionError):
                self._say(_GONE)
            self._storage.release()

    def alive(self) -> set[str]:
        """Those that have given a sign of life within the grace, or that nobody has watched yet."""
        counts, now = self._counts(), time.monotonic()
        for worker, count in counts.items():
            if self._seen.get(worker, (_GONE, now))[0] != count:
                self._seen[worker] = (count, now)
        return {
            worker
            for worker, (count, since) in self._seen.items()
            if count != _GONE and (worker == self.me or now - since < self._storage.grace)
        }

    def _beat(self, over: threading.Event) -> None:
        count = 0
        while not over.wait(self._storage.grace / _BEATS_IN_GRACE):
            count += 1
            # Who works with the storage in earnest will hear of it.
            with suppress(ConnectionError):
                self._say(count)

    def _say(self, count: int) -> None:
        with self._storage.in_reach():
            self._study.set_user_attr(f"worker {self.me}", count)

    def _counts(self) -> Mapping[str, int]:
        attributes = self._study.user_attrs
        return {
            key.removeprefix("worker "): count
            for key, count in attributes.items()
            if key.startswith("worker ")
        }
