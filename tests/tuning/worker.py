"""Workers of a shared search for the tests, forked from one process: imports take longest.

Reads lines `PLACE LOG CANDIDATES BATCH SECONDS_A_BATCH` and answers each with the id of a process;
answers `wait ID` with its exit status. A worker writes down every candidate that it has
evaluated, before it tells of it.
"""

import os
import sys
import time
import traceback

from ncd_jax.tuning.proposals import Proposals
from ncd_jax.tuning.shared_storage import open_shared
from ncd_jax.tuning.trials import Trial
from ncd_jax.types import Interval

SPACE = {"lr": Interval(1e-4, 1e-2, log=True), "w": Interval(0.0, 1.0)}
GRACE = 2.0


def work(place, log, candidates, batch, seconds):
    with open(log, "a", buffering=1) as file:
        proposals = Proposals(SPACE, {}, "quasi_random", 0, open_shared(place, GRACE))
        with proposals.at_work():
            while len(proposals.finished()) < int(candidates):
                asked = proposals.ask(int(batch), int(candidates))
                if not asked:
                    proposals.wait()
                    continue
                print("has", *(proposal.number for proposal in asked), file=file)
                time.sleep(float(seconds))
                for number, hparams in ((p.number, p.hparams) for p in asked):
                    print("evaluated", number, file=file)
                    proposals.tell(Trial(number, hparams, hparams["w"], (), (), 0))
        print("sees", *(trial.number for trial in proposals.finished()), file=file)


def main():
    for line in sys.stdin:
        words = line.split()
        if words[0] == "wait":
            print(os.waitstatus_to_exitcode(os.waitpid(int(words[1]), 0)[1]), flush=True)
            continue
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        try:
            work(*words)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)


if __name__ == "__main__":
    main()
