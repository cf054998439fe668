"""What is to be right about a method of somebody else's: its record, and the shapes it gives."""

import functools
import math
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from ncd_jax.errors import UserError
from ncd_jax.methods.spec import MethodInfo, Spec
from ncd_jax.types import Batch, Clusters, Goal, Interval, Method, NCDData, Stage

__all__ = ["checked", "problems", "said"]

_TUPLES = ("hparams", "state")
_ROWS = 8
"""Rows of the table in whose shapes functions are checked."""


def problems(
    info: Any, others: Mapping[str, Callable[[int], dict[str, Interval]]]
) -> Iterator[str]:
    """What a record lacks, one after the other; each supposes that there was nothing before.

    Args:
        info: the record, or whatever it is.
        others: hyperparameters of the methods that there are, by name.
    """
    if not isinstance(info, MethodInfo):
        yield f"{info!r} is no record; make one by ncd_jax.methods.MethodInfo"
    for field in ("make", "hparams", "state", "space"):
        if not callable(getattr(info, field)):
            yield f"{field}={getattr(info, field)!r} cannot be called"
    for field in ("title", "citation"):
        if not isinstance(getattr(info, field), str) or not info.title:
            yield f"{field}={getattr(info, field)!r} is no text"
    for field in _TUPLES:
        if not hasattr(getattr(info, field), "_fields"):
            yield f"{field} is no named tuple; derive it from typing.NamedTuple"
    fields = {field: getattr(info, field)._fields for field in _TUPLES}
    if "opt" not in fields["state"]:
        yield "state has no field opt, for what only training needs; () where that is nothing"
    space = info.space(2)
    if not (isinstance(space, dict) and all(isinstance(i, Interval) for i in space.values())):
        yield "space(n_features) is to return a dict from names to ncd_jax.types.Interval"
    if set(space) != set(fields["hparams"]):
        both = (", ".join(names) or "nothing" for names in (space, fields["hparams"]))
        yield "space has {}, hparams has {}; both are to be alike".format(*both)
    whole = {key: i.integer for space in others.values() for key, i in space(2).items()}
    for key, interval in space.items():
        if not (math.isfinite(interval.low) and interval.low < interval.high < math.inf):
            yield f"{key} is from {interval.low} to {interval.high}, which is no range"
        if interval.log and interval.low <= 0:
            yield f"{key} is searched on its logarithm; give a low above 0"
        if not interval.valid[0] <= interval.low < interval.high <= interval.valid[1]:
            yield f"{key} is searched outside of valid={interval.valid}, what users may fix"
        if whole.get(key, interval.integer) != interval.integer:
            yield f"{key} is a {'whole' if whole[key] else 'real'} number in other methods"
    variants = info.variants
    if not (isinstance(variants, tuple) and variants and all(type(v) is str for v in variants)):
        yield f"variants={variants!r} are no texts; leave them out where there is one way"
    if info.width is not None and info.width not in space:
        yield (
            f"width={info.width!r} is none of its hyperparameters; give the one that says how many"
            " columns of the representation are in use, or width=None"
        )
    for candidate in info.grid or ():
        if set(candidate) != set(space):
            yield f"grid has {candidate}; give each hyperparameter a number"


def checked(name: str, info: MethodInfo) -> Callable[[Spec], Method]:
    """The factory, whose functions are traced once for the shapes they are made for."""

    @functools.wraps(info.make)
    def make(spec: Spec) -> Method:
        @contextmanager
        def part(what: str) -> Iterator[None]:
            try:
                yield
            except Exception as error:
                where = f"for {spec.n_features} columns and {spec.n_known} known classes"
                raise UserError(f"method {name!r}: {what} fails {where} ({said(error)})") from error

        with part("its factory"):
            method = info.make(spec)
            _want(isinstance(method, Method), f"it gives {type(method)}, no ncd_jax.types.Method")
        _trace(info, spec, method, part)
        return method

    return make


def _trace(
    info: MethodInfo,
    spec: Spec,
    method: Method,
    part: Callable[[str], AbstractContextManager[None]],
) -> None:
    """Follows the shapes through all functions of a method, each inside its `part`."""
    # Here, as nobody makes a method who has not loaded it, but flags are made of its record.
    import jax
    import jax.numpy as jnp

    def array(*shape: int, dtype: Any = jnp.float32) -> Any:
        return jax.ShapeDtypeStruct(shape, dtype)

    def want_like(found: Any, *shape: int, dtype: Any = jnp.float32) -> None:
        is_like = getattr(found, "shape", None) == shape and found.dtype == dtype
        _want(is_like, f"it gives {found}, not {jnp.dtype(dtype).name}{list(shape)}")

    key, n = jax.eval_shape(lambda: jax.random.key(0)), _ROWS
    x, labels = array(n, spec.n_features), array(n, dtype=jnp.int32)
    some, k = array(n, dtype=bool), array(dtype=jnp.int32)
    data, goal = NCDData(x, labels, some if info.masked else None), Goal(labels, some, k)
    kinds = {key: jnp.int32 if i.integer else jnp.float32 for key, i in info.space(2).items()}
    hparams = info.hparams(**{key: array(dtype=kind) for key, kind in kinds.items()})

    with part("init"):
        state = jax.eval_shape(method.init, key, data, goal, hparams)
        _want(type(state) is info.state, f"it gives {type(state)}, no {info.state}")
    with part("stages"):
        stages = method.stages
        are_stages = isinstance(stages, tuple) and all(isinstance(each, Stage) for each in stages)
        _want(are_stages, "they are no tuple of ncd_jax.types.Stage")
        shares = sum(stage.share for stage in stages)
        _want(not stages or abs(shares - 1) < 1e-6, f"their shares add up to {shares}, not to 1")
    for i, stage in enumerate(stages):
        with part(f"step of stage {i}"):
            entered = jax.eval_shape(stage.enter, state)
            after, told = jax.eval_shape(stage.step, key, entered, Batch(x, labels, some), hparams)
            _want(after == state == entered, "it changes the form of the state")
            _want("loss" in told, "what it tells lacks a loss")
    state = state._replace(opt=None)
    with part("represent"):
        z = jax.eval_shape(method.represent, state, x)
        width = spec.latent_width if info.width else (z.shape or (0,))[-1]
        want_like(z, n, width)
    with part("cluster"):
        found = jax.eval_shape(method.cluster, key, state, z, k, some)
        _want(isinstance(found, Clusters), "it gives no ncd_jax.types.Clusters")
        want_like(found.centroids, method.max_clusters, width)
        want_like(found.labels, n, dtype=jnp.int32)
    with part("assign"):
        active = array(method.max_clusters, dtype=bool)
        slots = jax.eval_shape(method.assign, state, z, found.centroids, active)
        want_like(slots, n, dtype=jnp.int32)


def _want(is_so: bool, problem: str) -> None:
    if not is_so:
        raise TypeError(problem)


def said(error: BaseException) -> str:
    """An error in a line, and where in the file of the method it arose."""
    lines = str(error).splitlines() or [""]
    text = f"{type(error).__name__}: {lines[0]}"
    if isinstance(error, SyntaxError):
        return text
    ours = str(Path(__file__).parent.parent)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((ours, "<")) and "site-packages" not in frame.filename:
            return f"{text}, {Path(frame.filename).name} line {frame.lineno}"
    return text
