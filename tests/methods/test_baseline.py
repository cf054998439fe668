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
    return NCDData((x - x.mean(axis=0)) / x.std(axis=0), y)


GOAL = Goal(np.arange(8, dtype=np.int32), np.ones(8, bool), np.int32(2))


class Programs:
    """The functions of a method, compiled."""

    def __init__(self, method):
        self.init, self.step = jax.jit(method.init), jax.jit(method.stages[0].step)
        self.represent = jax.jit(method.represent)


OURS = Programs(INFO.make(SPEC))


def train(programs, data, hparams):
    """State, the info of all steps, and latents."""
    state, infos = programs.init(KEY, data, GOAL, hparams), []
    for i in range(STEPS):
        state, info = programs.step(jax.random.fold_in(KEY, i), state, data, hparams)
        infos.append(info)
    info = jax.tree.map(lambda *leaves: np.array(leaves), *infos)
    return state, info, np.asarray(programs.represent(state, data.x))


@pytest.fixture(scope="module")
def trained(data):
    return train(OURS, data, HPARAMS)


def test_is_pbn_without_reconstruction(trained, data):
    """With all weight on the cross-entropy PBN's decoder is idle; the rest is this method.

    PBN has a test against NumPy, finite differences and PyTorch.
    """
    hparams = pbn.HParams(**HPARAMS._asdict(), w=jnp.float32(1))
    theirs = train(Programs(pbn.pbn(SPEC)), data, hparams)
    np.testing.assert_allclose(trained[1]["loss"], theirs[1]["cross_entropy"], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(trained[2], theirs[2], rtol=1e-2, atol=1e-2)
    del theirs[0].params["Perceptron_1"]
    shapes = [jax.tree.map(jnp.shape, state.params) for state in (trained[0], theirs[0])]
    assert shapes[0] == shapes[1]


def test_learns_the_known_classes(trained, data):
    state, info, z = trained
    labelled = data.y >= 0
    net = ProjectionNet(D, C, 8, rebuilds=False)
    look = jax.jit(lambda state: net.apply(variables_of(state), data.x, 5, 0.0, train=False).logits)
    logits = np.asarray(look(state))
    assert set(info) == {"loss"}
    assert info["loss"][-1] < 0.5 * info["loss"][0]
    assert (logits[:, :3].argmax(axis=1) == data.y)[labelled].mean() > 0.95
    np.testing.assert_array_equal(np.any(z != 0, axis=0), np.arange(8) < HPARAMS.latent_dim)


def test_the_loss_is_the_cross_entropy_of_labelled_rows(data):
    """Of the first step, in float64; NumPy does the network too."""
    hparams = HPARAMS._replace(dropout=np.float32(0))
    state = OURS.init(KEY, data, GOAL, hparams)
    _, info = OURS.step(KEY, state, data, hparams)
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
    ours = jax.jit(unit.represent)(state._replace(opt=None), data.x)
    np.testing.assert_allclose(ours, z / np.linalg.norm(z, axis=1, keepdims=True), atol=1e-4)


def test_space():
    assert tuple(INFO.space(D)) == HParams._fields
    assert all(INFO.space(D)[name] == METHODS["pbn"].space(D)[name] for name in HParams._fields)
