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
    python = Path(__file__).resolve().parent / ".venv" / "bin" / "python"
    if not (find_spec("jax") and find_spec("ml_collections")):
        if python.exists() and Path(sys.prefix).resolve() != python.parent.parent:
            os.execv(python, [str(python), *sys.argv])
        sys.exit("launch.py: its libraries are not installed; run `make run` or `pip install .`")

    from ncd_jax.cli import main

    sys.exit(main())
