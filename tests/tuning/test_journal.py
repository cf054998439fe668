"""Journals that were torn, damaged or are another run's."""

import errno
import os

import numpy as np
import pytest

from ncd_jax.errors import UserError
from ncd_jax.tuning.proposals import Proposals
from ncd_jax.tuning.shared_storage import open_shared
from ncd_jax.tuning.storage import own_journal
from ncd_jax.tuning.trials import Trial
from ncd_jax.types import Interval

SPACE = {"lr": Interval(1e-4, 1e-2, log=True), "w": Interval(0.0, 1.0)}
BATCH, CANDIDATES = 2, 6


def search(storage):
    """A search to its end; what it comes to depends on nothing but its proposals."""
    proposals = Proposals(SPACE, {}, "tpe", 0, storage)
    while len(proposals.finished()) < CANDIDATES:
        for asked in proposals.ask(BATCH, CANDIDATES):
            value = asked.hparams["w"]
            proposals.tell(Trial(asked.number, asked.hparams, value, (value,), (2.0,), 0))
    return proposals.finished()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a finished journal, and the trials in it."""
    path = tmp_path_factory.mktemp("whole") / "search.journal"
    trials = search(own_journal(path, "ncd_jax a"))
    return path.read_bytes(), trials


TAILS = {
    "nothing": b"",
    "zeros": b"\0" * 700,
    "zeros and a line": b"\0" * 7 + b"\n",
    "noise": np.random.default_rng(0).bytes(300) + b"\n",
    "an operation of nobody's": b'{"op_code":99,"worker_id":"x"}\n',
    "no operation": b'{"op_code":"1"}\n3\nnull\n[]\n',
}


@pytest.mark.parametrize("tail", TAILS)
def test_a_torn_journal_goes_on_from_its_last_whole_record(whole, tmp_path, tail):
    data, trials = whole
    path = tmp_path / "search.journal"
    cuts = np.random.default_rng(0).integers(1, len(data), 12).tolist()
    for cut in [0, len(data), *cuts]:
        said: list[str] = []
        torn = data[:cut] + TAILS[tail]
        path.write_bytes(torn)
        assert search(own_journal(path, "ncd_jax a", said.append)) == trials
        kept = 1 + torn.rfind(b"\n", 0, cut)
        assert len(said) == (kept < len(torn))
        assert all(str(path) in line and f" {len(torn) - kept} bytes" in line for line in said)


@pytest.mark.parametrize("middle", [b"\0\0\n", b'{"op_code":99}\n', b'{"op_code":4,"wor'])
def test_damage_before_whole_records_is_refused(whole, tmp_path, middle):
    """What would be left out is not the end of something: nobody knows what it was."""
    data, _ = whole
    end = data.index(b"\n", len(data) // 2) + 1
    path = tmp_path / "search.journal"
    path.write_bytes(data[:end] + middle + data[end:])
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"line \d+ is no record of a search; delete it") as error:
        own_journal(path, "ncd_jax a")
    assert str(path) in str(error.value)
    assert path.read_bytes() == before
    assert not path.with_name("search.journal.lock").exists()


@pytest.mark.parametrize("missing", [b"study_name", b"worker_id", b"directions"])
def test_records_that_lack_something_are_refused(whole, tmp_path, missing):
    path = tmp_path / "search.journal"
    path.write_bytes(whole[0].replace(missing, b"x" * len(missing)))
    with pytest.raises(UserError, match=r"delete it, and the search begins anew$"):
        own_journal(path, "ncd_jax a")


def test_the_journal_of_another_run_is_refused(whole, tmp_path):
    path = tmp_path / "search.journal"
    path.write_bytes(whole[0])
    with pytest.raises(UserError, match=r"is of another configuration, .*; delete it"):
        own_journal(path, "ncd_jax b")
    assert path.read_bytes() == whole[0]


def test_a_shared_journal_is_mended_too(whole, tmp_path):
    path = tmp_path / "shared.journal"
    path.write_bytes(whole[0][:-3])
    said: list[str] = []
    open_shared(str(path), 60.0, said.append)
    assert len(said) == 1
    assert whole[0].startswith(path.read_bytes())
    path.write_bytes(whole[0].replace(b'"op_code":4', b'"op_code":77', 1))
    with pytest.raises(UserError, match="is no record of a search"):
        open_shared(str(path), 60.0)


def test_a_disk_that_is_full_costs_no_more_than_a_batch(whole, tmp_path, monkeypatch):
    """Every write may be the one that fits by half only; the next start goes on."""
    _, trials = whole
    fsync = os.fsync
    for room in (100, 700, 1500, 2600, 4000):
        path = tmp_path / f"{room}.journal"

        def full(descriptor, path=path, room=room):
            if os.fstat(descriptor).st_size > room:
                os.truncate(path, room)
                raise OSError(errno.ENOSPC, "No space left on device")
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            search(own_journal(path, "ncd_jax a"))
        monkeypatch.setattr(os, "fsync", fsync)
        assert path.stat().st_size == room
        assert search(own_journal(path, "ncd_jax a")) == trials


def test_a_batch_whose_scores_were_cut_short_is_repeated_whole(tmp_path):
    """Who stops early depends on all of a batch; a score that is there stays."""
    path, score = tmp_path / "search.journal", 0.25
    first = Proposals(SPACE, {}, "tpe", 0, own_journal(path))
    asked = first.ask(3, CANDIDATES)
    first.tell(Trial(0, asked[0].hparams, score, (score,), (2.0,), 0))
    second = Proposals(SPACE, {}, "tpe", 0, own_journal(path))
    again = second.ask(3, CANDIDATES)
    assert again == asked
    for each in again:
        second.tell(Trial(each.number, each.hparams, 0.75, (0.75,), (2.0,), 0))
    assert [trial.score for trial in second.finished()] == [score, 0.75, 0.75]
    assert [each.number for each in second.ask(3, CANDIDATES)] == [3, 4, 5]
