"""Layers that sweeps need: their knobs may be traced values, and rows are the last axis.

Flax's own dropout takes its rate as a Python number, so every rate would be a new
compilation, and its initialisers derive the fan-in from the array, which is wrong where part
of the input is masked away.

Here a batch is `f32[d, n]`. A row of a table is narrow and a batch is long, so statistics, biases
and gradients of weights, which all run over the rows, then run along memory; see
docs/research/speed.md.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ncd_jax.types import Array

__all__ = ["Dense", "Dropout", "Perceptron", "hidden_widths"]

MOMENTUM = 0.9


class Dense(nn.Module):
    """A linear layer with weights and bias uniform in `±1/sqrt(fan_in)`.

    That is PyTorch's default for linear layers, which the reference results were made with.

    Attributes:
        width: columns of the output.
    """

    width: int

    @nn.compact
    def __call__(self, h: Array, fan_in: Array | float) -> Array:
        """Maps `f32[d, n]` to `f32[width, n]`; `fan_in` may be traced."""

        def init(key: Array, shape: tuple[int, ...]) -> Array:
            return jax.random.uniform(key, shape, jnp.float32, -1.0, 1.0) / jnp.sqrt(fan_in)

        kernel = self.param("kernel", init, (len(h), self.width))
        bias = self.param("bias", init, (self.width,))
        return kernel.T @ h + bias[:, None]


class Dropout(nn.Module):
    """Inverted dropout with a traced rate.

    Sixteen random bits decide about a value: half the generator's work, and a rate that is
    off by at most 2^-16. The draw does not depend on the rate, so under `vmap` over rates it
    is made once and all lanes see the same noise: common random numbers.
    """

    @nn.compact
    def __call__(self, h: Array, rate: Array, *, train: bool) -> Array:
        """Zeroes a share `rate` of `f32[width, n]` and scales up the rest."""
        if not train:
            return h
        # Asked for sixteen bits, JAX makes thirty-two and drops half of them.
        words = jax.random.bits(self.make_rng("dropout"), (-(-h.size // 2),))
        halves = jnp.concatenate([words & 0xFFFF, words >> 16])
        keep = halves[: h.size].reshape(h.shape).astype(jnp.float32) >= rate * 2**16
        return jnp.where(keep, h * (1.0 / (1.0 - rate)), 0.0)


class _NormApart(nn.Module):
    """BatchNorm that takes the statistics of each kind of rows apart.

    In training a row is normalised by the mean and variance of its own kind. In evaluation all
    are by running statistics, which follow those of the first kind.
    """

    @nn.compact
    def __call__(self, h: Array, kinds: Array, *, train: bool) -> Array:
        shape = (len(h),)
        scale = self.param("scale", nn.initializers.ones, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        if not train:
            mean, var = running_mean.value[:, None], running_var.value[:, None]
        else:
            share = kinds / jnp.maximum(jnp.sum(kinds, axis=0, keepdims=True), 1.0)
            means = jnp.matmul(h, share, precision="highest")
            mean = jnp.matmul(means, kinds.T, precision="highest")
            variances = jnp.matmul((h - mean) ** 2, share, precision="highest")
            var = jnp.matmul(variances, kinds.T, precision="highest")
            running_mean.value += (1.0 - MOMENTUM) * (means[:, 0] - running_mean.value)
            running_var.value += (1.0 - MOMENTUM) * (variances[:, 0] - running_var.value)
        return (h - mean) * jax.lax.rsqrt(var + 1e-5) * scale[:, None] + bias[:, None]


class Perceptron(nn.Module):
    """Linear layers with ReLU, BatchNorm and dropout between them; the last is bare.

    Attributes:
        widths: output widths of the layers.
    """

    widths: tuple[int, ...]

    @nn.compact
    def __call__(
        self,
        h: Array,
        fan_in: Array | float,
        rate: Array,
        *,
        train: bool,
        kinds: Array | None = None,
    ) -> Array:
        """Maps `f32[d, n]` to `f32[widths[-1], n]`.

        Args:
            h: input.
            fan_in: columns of `h` that are not masked away.
            rate: dropout rate.
            train: whether batch statistics and dropout are those of training.
            kinds: `f32[n, G]`, 1 for the kind of each row and 0 for the others, where BatchNorm
                is to take the statistics of each kind apart.
        """
        *hidden, last = self.widths
        for width in hidden:
            h = nn.relu(Dense(width)(h, fan_in))
            if kinds is None:
                h = nn.BatchNorm(use_running_average=not train, momentum=MOMENTUM, axis=0)(h)
            else:
                h = _NormApart()(h, kinds, train=train)
            h = Dropout()(h, rate, train=train)
            fan_in = width
        return Dense(last)(h, fan_in)


def hidden_widths(n_features: int) -> tuple[int, int]:
    """Widths of the encoders' hidden layers; a decoder has them the other way round."""
    return max(3 * n_features // 4, 1), max(n_features // 2, 1)
