"""A fitted model as bytes, to be applied where neither Flax nor the estimator is at hand.

The bytes are a zip archive of two files, no pickle:

* `model.json`: the columns, what is made of each (`ncd_jax.data.encode.Encoder`: what fills gaps,
  which words have a column), and the classes.
* `program.bin`: a program of JAX from encoded rows, `f32[n, d]`, to the index of the class,
  `i32[n]`, and the confidence, `f32[n]`, of any number of rows. Scaling, weights and calibration
  are inside. `jax.export.deserialize(data).call(x)` runs it in any process that has JAX, without
  this package; JAX reads what releases of up to six months ago wrote.

What is not in the program: how cells become numbers. Words, dates and gaps are for `load_exported`,
which reads `model.json` with this package's rules (pandas and NumPy; no Flax, no training code).
A column of numbers without gaps in training is encoded as `(value - mean) / scale`. Not in the
bytes at all: the report, the rows that a run remembers, which get the rule's answer here and not
the run's, and what only a run has, such as the second likeliest class.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax import export

from ncd_jax.data.encode import Encoder
from ncd_jax.data.scale import rounded
from ncd_jax.errors import UserError

__all__ = ["Exported", "export_model", "export_program", "load_exported"]

_FORMAT = 1
_FILES = ("model.json", "program.bin")


class Exported(NamedTuple):
    """An exported model, to be called.

    Attributes:
        classes: names of the classes: known ones, then novel ones.
        columns: names of the columns of its table.
        encoder: from these to numbers; none where they are numbers.
        program: `jax.export.Exported` from encoded rows to classes and confidence.
    """

    classes: tuple[Any, ...]
    columns: tuple[str, ...]
    encoder: Encoder | None
    program: Any

    def __call__(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Gives every row its class.

        Args:
            X: `[n, c]`: a pandas frame, whose columns may be in any order and which may lack those
                that say nothing; or an array of all columns in their order.

        Returns:
            The class, `[n]`, and how likely it is to be right, `f32[n]`.

        Raises:
            UserError: columns are missing, or cells are not of their column's kind.
        """
        if not isinstance(X, pd.DataFrame):
            X = np.asarray(X)
            if X.ndim != 2 or X.shape[1] != len(self.columns):
                raise UserError(f"rows have shape {X.shape}; give {len(self.columns)} columns")
            X = pd.DataFrame(X, columns=list(self.columns)).infer_objects()
        if self.encoder is None:
            x = X[list(self.columns)].to_numpy(np.float32)
        else:
            x = self.encoder.apply(X)
        labels, confidence = (np.asarray(part) for part in self.program.call(x))
        if self.encoder is not None:
            confidence = np.where(self.encoder.is_blank(x), np.float32(0), confidence)
        names = np.array(self.classes)
        return names[labels], confidence


def export_model(
    model: Any,
    classes: Sequence[Any],
    columns: Sequence[str],
    platforms: Sequence[str] = ("cpu", "cuda"),
) -> bytes:
    """A model of a run or an estimator as bytes for `load_exported`.

    Args:
        model: a `ncd_jax.discovery.model.Model`.
        classes: what its classes are called: text, numbers or truth values.
        columns: names of the columns of its table, those that it leaves out included.
        platforms: where it may run, in the names of JAX.
    """
    facts = {
        "format": _FORMAT,
        "columns": list(columns),
        "encoder": model.encoder and model.encoder.to_json(),
        "classes": [c.item() if isinstance(c, np.generic) else c for c in classes],
    }
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_FILES[0], json.dumps(facts, ensure_ascii=False))
        archive.writestr(_FILES[1], export_program(model, platforms))
    return written.getvalue()


def load_exported(data: bytes) -> Exported:
    """Reads what `NovelClassDiscovery.export` wrote: a function from rows to classes.

    Raises:
        UserError: the bytes are something else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            facts, program = json.loads(archive.read(_FILES[0])), archive.read(_FILES[1])
        if facts["format"] != _FORMAT:
            raise UserError("a newer ncd_jax wrote this model; install that one")
        encoder = facts["encoder"] and Encoder.from_json(facts["encoder"])
        classes, columns = tuple(facts["classes"]), tuple(facts["columns"])
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise UserError("these bytes are no exported model; give what export() wrote") from error
    return Exported(classes, columns, encoder, export.deserialize(bytearray(program)))


def export_program(model: Any, platforms: Sequence[str] = ("cpu", "cuda")) -> bytes:
    """The program alone, from encoded rows to classes and confidence: see the module."""
    # Here, as they need Flax, and who reads a model does not.
    from ncd_jax.discovery.model import apply, arrays_of, nothing_told
    from ncd_jax.discovery.problem import make_method

    method = make_method(model.method, model.spec)
    arrays, told = jax.device_put((arrays_of(model), nothing_told(1)))
    class_of_row = np.zeros(len(model.means), np.int32)
    class_of_row[model.rows] = np.arange(len(model.rows))
    low, high, mean, scale = (
        np.asarray(getattr(model.scaler, name), np.float32)
        for name in ("low", "high", "mean", "scale")
    )

    @jax.jit
    @jax.vmap  # methods may ask for the length of a table, which is open here; of one row it is 1
    def assign(row: jax.Array) -> tuple[jax.Array, jax.Array]:
        scaled = rounded((jnp.clip(row, low, high) - mean) / scale, jnp)
        applied = apply(method, model.judged, arrays, scaled[None], told)
        return jnp.asarray(class_of_row)[applied.labels[0]], applied.confidence[0]

    (n,) = export.symbolic_shape("n")
    rows = jax.ShapeDtypeStruct((n, model.spec.n_features), jnp.float32)
    return bytes(export.export(assign, platforms=platforms)(rows).serialize())
