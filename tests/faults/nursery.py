"""Commands as processes, forked from one that has imported what takes longest.

Reads lines of JSON: `[FOLDER, FLAGS]` is answered with the id of a process, `[ID]` with its exit
status, as soon as it has one.
"""

import json
import os
import sys
import traceback

from ncd_jax.cli import main


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


for line in sys.stdin:
    what = json.loads(line)
    if len(what) == 1:
        print(os.waitstatus_to_exitcode(os.waitpid(what[0], 0)[1]), flush=True)
        continue
    pid = os.fork()
    if not pid:
        command(*what)
    print(pid, flush=True)
