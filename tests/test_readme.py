"""What the README shows works as it stands there."""

import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_python_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    rng = np.random.default_rng(0)
    y = np.arange(60) % 6 - 1
    names = {
        "x": jnp.asarray(rng.normal(size=(60, 64)), jnp.float32),
        "y": jnp.asarray(y),
        "novel_rows": jnp.asarray(np.flatnonzero(y < 0)),
    }
    exec(code.replace("epochs=100", "epochs=2"), names)
    assert names["labels"].shape == (3, 10)
    assert set(np.unique(names["labels"])) <= set(range(5))
