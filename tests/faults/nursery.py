"""Commands as processes, forked from one that has imported everything and started nothing.

Reads lines of JSON: `[FOLDER, FLAGS]` is answered with the id of a process, `[ID]` with its exit
status, as soon as it has one.
"""

import gc
import json
import os
import sys
import traceback

import jax
import optuna.storages.journal  # noqa: F401 - all that a command imports when it gets there
from jax._src.xla_bridge import backends_are_initialized

from ncd_jax import experiment, new_rows, rerun  # noqa: F401
from ncd_jax.cli import main
from ncd_jax.report import asking, comparison, console, latent_map, renaming  # noqa: F401
from ncd_jax.reproduce import plan, runner  # noqa: F401


def command(folder, flags):
    os.chdir(folder)
    for stream, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    try:
        status = main(["launch.py", *flags])
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    os._exit(status)


jax.clear_caches = lambda: None
latent_map._embed = lambda points: points[:, :2]  # takes time and touches no file
assert not backends_are_initialized(), "threads of a backend do not come along"
gc.freeze()
for line in sys.stdin:
    what = json.loads(line)
    if len(what) == 1:
        print(os.waitstatus_to_exitcode(os.waitpid(what[0], 0)[1]), flush=True)
        continue
    pid = os.fork()
    if not pid:
        command(*what)
    print(pid, flush=True)
