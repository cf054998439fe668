import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax.methods import METHODS, pbn
from ncd_jax.methods.baseline import INFO, HParams
from ncd_jax.methods.parts import variables_of
from ncd_jax.methods.spec import Spec
from ncd_jax.networks.projection import ProjectionNet
from ncd_jax.types import Goal, NCDData

KEY = jax.random.key(0)
D, C = 6, 4
SPEC = Spec(n_features=D, n_known=C, latent_width=8, normalise=False)
HPARAMS = HParams(lr=jnp.float32(1e-2), dropout=jnp.float32(0.2), latent_dim=jnp.int32(5))
STEPS = 40


@pytest.fixture(scope="module")
def data(blobs):
    """Three known classes with labels, one without, and a novel one."""
    x, classes = blobs([16, 16, 16, 8, 16], D)
    y = np.where(classes < 3, classes, -1).astype(np.int32)
    return NCDData(jnp.asarray((x - x.mean(axis=0)) / x.std(axis=0)), jnp.asarray(y))


def train(method, data, hparams):
    """State, the info of all steps, and latents."""
    goal = Goal(jnp.arange(8), jnp.ones(8, bool), jnp.int32(2))
    (stage,) = method.stages

    @jax.jit
    def run(hparams):
        state, info = jax.lax.scan(
            lambda state, key: stage.step(key, state, data, hparams),
            method.init(KEY, data, goal, hparams),
            jax.random.split(KEY, STEPS),
        )
        return state, info, method.represent(state, data.x)

    return run(hparams)


@pytest.fixture(scope="module")
def trained(data):
    return train(INFO.make(SPEC), data, HPARAMS)


def test_is_pbn_without_reconstruction(trained, data):
    """With all weight on the cross-entropy PBN's decoder is idle; the rest is this method.

    PBN has a test against NumPy, finite differences and PyTorch.
    """
    hparams = pbn.HParams(**HPARAMS._asdict(), w=jnp.float32(1))
    theirs = train(pbn.pbn(SPEC), data, hparams)
    np.testing.assert_allclose(trained[1]["loss"], theirs[1]["cross_entropy"], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(trained[2], theirs[2], rtol=1e-2, atol=1e-2)
    del theirs[0].params["Perceptron_1"]
    shapes = [jax.tree.map(jnp.shape, state.params) for state in (trained[0], theirs[0])]
    assert shapes[0] == shapes[1]


def test_learns_the_known_classes(trained, data):
    state, info, z = trained
    labelled = data.y >= 0
    net = ProjectionNet(D, C, 8, rebuilds=False)
    logits = net.apply(variables_of(state), data.x, 5, 0.0, train=False).logits
    assert set(info) == {"loss"}
    assert info["loss"][-1] < 0.5 * info["loss"][0]
    assert (logits[:, :3].argmax(axis=1) == data.y)[labelled].mean() > 0.95
    np.testing.assert_array_equal(jnp.any(z != 0, axis=0), np.arange(8) < HPARAMS.latent_dim)


def test_the_loss_is_the_cross_entropy_of_labelled_rows(data):
    """Of the first step, in float64; NumPy does the network too."""
    method = INFO.make(SPEC)
    goal = Goal(jnp.arange(8), jnp.ones(8, bool), jnp.int32(2))
    hparams = HPARAMS._replace(dropout=jnp.float32(0))
    state = jax.jit(method.init)(KEY, data, goal, hparams)
    _, info = jax.jit(method.stages[0].step)(KEY, state, data, hparams)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), state.params)
    h = np.asarray(data.x, np.float64)
    for i in range(3):
        layer = params["Perceptron_0"][f"Dense_{i}"]
        h = h @ layer["kernel"] + layer["bias"]
        if i < 2:
            h = np.maximum(h, 0)
            h = (h - h.mean(axis=0)) / np.sqrt(h.var(axis=0) + 1e-5)
    h[:, 5:] = 0
    z = h / np.linalg.norm(h, axis=1, keepdims=True)
    logits = (z @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"])[:, :3]
    log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    y = np.asarray(data.y)
    labelled = np.flatnonzero(y >= 0)
    np.testing.assert_allclose(info["loss"], -log_softmax[labelled, y[labelled]].mean(), rtol=1e-4)


def test_representation_is_normalised_where_asked(trained, data):
    state, _, z = trained
    unit = INFO.make(Spec(n_features=D, n_known=C, latent_width=8))
    ours = unit.represent(state._replace(opt=None), data.x)
    np.testing.assert_allclose(ours, z / np.linalg.norm(z, axis=1, keepdims=True), atol=1e-4)


def test_space():
    assert tuple(INFO.space(D)) == HParams._fields
    assert all(INFO.space(D)[name] == METHODS["pbn"].space(D)[name] for name in HParams._fields)
