"""Several workers in one storage, each a process of its own, one of them killed."""

import dataclasses
import os
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from launching import Nursery
from tiers import few
from worker import GRACE, SPACE

import ncd_jax
from ncd_jax.errors import UserError
from ncd_jax.tuning.proposals import Proposals
from ncd_jax.tuning.shared_storage import open_shared
from ncd_jax.tuning.trials import Trial

KINDS = [("journal", "sqlite"), ("postgresql",)]
CANDIDATES, BATCH = 24, 3


def place_of(kind, folder, request):
    if kind == "postgresql":
        return request.getfixturevalue("postgresql")
    path = folder / f"search.{kind}"
    return str(path) if kind == "journal" else f"sqlite:///{path}"


class Workers(Nursery):
    """Starts workers; see `worker.py`."""

    def __init__(self):
        super().__init__(Path(__file__).with_name("worker.py"), os.environ)

    def ask(self, *words):
        return super().ask(" ".join(map(str, words)))


@pytest.fixture(scope="module")
def nursery():
    nursery = Workers()
    yield nursery
    nursery.close()


def lines(log, word):
    """The numbers behind this word, line by line."""
    text = log.read_text() if log.exists() else ""
    return [
        [int(number) for number in line.removeprefix(word).split()]
        for line in text.splitlines()
        if line.startswith(word + " ")
    ]


def proposals_in(place, **changes):
    storage = dataclasses.replace(open_shared(str(place), GRACE), **changes)
    return Proposals(SPACE, {}, "tpe", 0, storage)


def numbers(asked):
    return [proposal.number for proposal in asked]


def scored(proposal, score=0.5):
    return Trial(proposal.number, proposal.hparams, score, (), (), 0)


@pytest.mark.usefixtures("nursery")  # which imports meanwhile
def test_a_living_worker_keeps_what_it_has(tmp_path):
    """For longer than the grace, and whether it is watched or not."""
    a, b = proposals_in(tmp_path / "j", grace=1.5), proposals_in(tmp_path / "j", grace=1.5)
    with a.at_work(), b.at_work():
        mine = a.ask(3, 5)
        assert numbers(b.ask(3, 5)) == [3, 4]
        for _ in range(4):
            time.sleep(0.4)
            assert b.ask(3, 5) == []
        for proposal in mine:
            a.tell(scored(proposal))
        assert numbers(b.finished()) == [0, 1, 2]


def test_who_leaves_gives_back_at_once(tmp_path):
    """An error ends the block as well."""
    a, b = proposals_in(tmp_path / "j", grace=1e6), proposals_in(tmp_path / "j", grace=1e6)
    with b.at_work():
        with suppress(KeyboardInterrupt), a.at_work():
            left = a.ask(3, 3)
            raise KeyboardInterrupt
        assert b.ask(3, 3) == left


def test_the_first_result_stays(tmp_path):
    """Of a worker that was taken for dead, and the one that has its candidate now."""
    a, b = proposals_in(tmp_path / "j"), proposals_in(tmp_path / "j")
    (mine,) = a.ask(1, 1)  # and gives no sign of life
    assert b.ask(1, 1) == [mine]
    b.tell(scored(mine, 0.75))
    a.tell(scored(mine, 0.25))
    assert [trial.score for trial in a.finished()] == [0.75]


def test_other_searches_in_one_place(tmp_path):
    """They do not see each other; another release of the package is told so."""
    a = proposals_in(tmp_path / "j", study="a")
    a.tell(scored(*a.ask(1, 1)))
    assert proposals_in(tmp_path / "j", study="b").finished() == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ncd_jax, "__version__", "0.0.1")
        with pytest.raises(UserError, match="use one release on all machines"):
            proposals_in(tmp_path / "j", study="a")


@pytest.mark.parametrize("kinds", few(KINDS, KINDS[0]), ids=" and ".join)
def test_a_killed_worker_loses_nothing(kinds, nursery, tmp_path, request):
    """What it had is evaluated by the others, everything once, and all see the same in the end.

    Searches in several kinds of places go side by side, as most of it is waiting.
    """
    searches = []
    for kind in kinds:
        place = place_of(kind, tmp_path, request)
        logs = [tmp_path / f"{kind}{i}.log" for i in range(3)]
        # The first would take for ever; it is killed with a batch in its hands, which it takes
        # before there are others.
        first = nursery.ask(place, logs[0], CANDIDATES, BATCH, 1000)
        searches.append((place, logs, first, list[int]()))
    for place, logs, first, others in searches:
        end = time.monotonic() + 30
        while not lines(logs[0], "has") and time.monotonic() < end:
            time.sleep(0.01)
        others += [nursery.ask(place, log, CANDIDATES, BATCH, 0.02) for log in logs[1:]]
        os.kill(first, signal.SIGKILL)
    for place, logs, first, others in searches:
        statuses = [nursery.ask("wait", pid) for pid in (first, *others)]
        assert statuses == [-signal.SIGKILL, 0, 0]
        assert_nothing_is_lost(place, logs)


def assert_nothing_is_lost(place, logs):
    evaluated = Counter(number for log in logs for one in lines(log, "evaluated") for number in one)
    assert evaluated == Counter(range(CANDIDATES))
    lost = lines(logs[0], "has")[0]
    assert any(set(lost) & set(batch) for log in logs[1:] for batch in lines(log, "has"))
    for log in logs[1:]:
        assert lines(log, "sees") == [list(range(CANDIDATES))]
    storage = open_shared(place, GRACE)
    trials = Proposals(SPACE, {}, "quasi_random", 0, storage).finished()
    storage.release()
    assert len({trial.hparams["w"] for trial in trials}) == CANDIDATES, "no two tried the same"


def test_one_of_two_workers_is_killed_a_hundred_times(nursery, is_long, count, tmp_path):
    """At any moment; ten pairs at once, each with a search of its own."""
    if not is_long:
        pytest.skip("of `make faults`")
    rng, counted = np.random.default_rng(0), count("one of two workers killed")
    for turn in range(10):
        pairs = []
        for i in range(10):
            place = tmp_path / f"{turn}-{i}.journal"
            logs = [place.with_suffix(f".{worker}") for worker in "ab"]
            pairs.append((logs, [nursery.ask(place, log, CANDIDATES, 3, 0.2) for log in logs]))
        for _, (killed, _) in pairs:
            time.sleep(rng.uniform(0, 0.2))
            os.kill(killed, signal.SIGKILL)
        for logs, (killed, survivor) in pairs:
            counted["killed" if nursery.ask("wait", killed) < 0 else "too late"] += 1
            is_whole = nursery.ask("wait", survivor) == 0 and lines(logs[1], "sees") == [
                list(range(CANDIDATES))
            ]
            counted["lost"] += not is_whole
    assert not counted["lost"]


@pytest.mark.parametrize(
    ("where", "word"),
    [
        ("missing/search.journal", "folder does not exist"),
        ("sqlite:///missing/search.db", "folder does not exist"),
        ("sqlite://", "folder does not exist"),
        ("mysql://ncd:s3cret@host/ncd", "of no known kind"),
        ("table.csv", "cannot be used"),
        ("sqlite:///table.csv", "cannot be used"),
        ("postgresql://ncd:s3cret@127.0.0.1:1/ncd?sslpassword=s3cret", "cannot be used"),
    ],
)
def test_places_that_are_none(where, word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    if where.startswith("postgresql"):
        pytest.importorskip("psycopg")
    with pytest.raises(UserError, match=word) as caught:
        open_shared(where, 1.0)
    assert "s3cret" not in str(caught.value)
    assert (tmp_path / "table.csv").read_text() == "a,b\n1,2\n"


def test_the_driver_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UserError, match=r"pip install 'ncd_jax\[postgres\]'"):
        open_shared("postgresql://ncd:s3cret@127.0.0.1:1/ncd", 1.0)


def test_a_wrong_password_is_not_said(postgresql):
    with pytest.raises(UserError, match="password authentication failed") as caught:
        open_shared(postgresql.replace("s3cret", "s3cre7"), 1.0)
    assert "s3cre7" not in str(caught.value)


def test_a_storage_that_goes_away_is_said_in_one_line(tmp_path):
    """A fault, not a mistake: what is finished is kept there."""
    proposals = proposals_in(f"sqlite:///{tmp_path}/s")
    (tmp_path / "s").write_bytes(b"")
    with pytest.raises(ConnectionError, match="no such table"):
        proposals.ask(1, 1)
