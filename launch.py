"""Finds the novel classes of a table: the command `ncd-jax`, from a checkout.

python launch.py                                  # the table that scikit-learn embeds
python launch.py --config=pendigits --workdir=runs/pendigits
python launch.py --table=customers.csv --label=segment --workdir=runs/customers
python launch.py --mode=assign --workdir=runs/customers --table=new_rows.csv
python launch.py --mode=compare --workdir=runs/customers --against=runs/last_month
python launch.py --mode=benchmark --config=benchmark
python launch.py --help
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

if __name__ == "__main__":
    # `make` installs into .venv, which need not be on anybody's path: a Python that lacks what
    # the program is made of hands over to the one in there.
    folder = Path(__file__).resolve().parent / ".venv"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (find_spec("jax") and find_spec("ml_collections")):
        if not python.exists() or Path(sys.prefix).resolve() == folder:
            sys.exit(
                "launch.py: its libraries are not installed; run `make run` or `pip install .`"
            )
        if os.name == "nt":  # there a process that another one takes the place of ends at once
            import subprocess  # a tenth of the time that `--help` takes

            sys.exit(subprocess.call([str(python), *sys.argv]))
        os.execv(python, [str(python), *sys.argv])

    try:
        from ncd_jax.cli import program
    except KeyboardInterrupt:  # nothing has begun that could be kept
        sys.exit(130)

    program()
