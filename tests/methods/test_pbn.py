import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax.methods import Spec
from ncd_jax.methods.parts import variables_of
from ncd_jax.methods.pbn import HParams, pbn
from ncd_jax.networks.projection import ProjectionNet
from ncd_jax.types import Goal, NCDData

N, D, C, ROOM, LATENT = 12, 5, 3, 6, 4
LR, W, WEIGHT_DECAY = 1e-3, 0.3, 0.01
STEPS = 2
HPARAMS = HParams(
    lr=jnp.float32(LR), w=jnp.float32(W), dropout=jnp.float32(0), latent_dim=jnp.int32(LATENT)
)
KEY = jax.random.key(0)
GOAL = Goal(np.arange(2, dtype=np.int32), np.ones(2, bool), np.int32(2))
X = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
Y = np.array([0, 1, 0, 1, -1, -1, 0, 1, -1, -1, 1, 0], np.int32)  # class 2 is hidden
LAYERS = [
    ("Perceptron_0", "Dense_0", "BatchNorm_0"),
    ("Perceptron_0", "Dense_1", "BatchNorm_1"),
    ("Perceptron_0", "Dense_2", None),
    ("Perceptron_1", "Dense_0", "BatchNorm_0"),
    ("Perceptron_1", "Dense_1", "BatchNorm_1"),
    ("Perceptron_1", "Dense_2", None),
]


SPEC = Spec(n_features=D, n_known=C, latent_width=ROOM)
METHOD = pbn(SPEC)
INIT, STEP = jax.jit(METHOD.init), jax.jit(METHOD.stages[0].step)


@pytest.fixture(scope="module")
def ours():
    """States before and after each of two steps, and the losses: the code under test."""
    data = NCDData(X, Y)
    state = INIT(KEY, data, GOAL, HPARAMS)
    states, losses = [state], []
    for _ in range(STEPS):
        state, info = STEP(KEY, state, data, HPARAMS)
        states.append(state)
        losses.append(info)
    return states, losses


def float64(params):
    return jax.tree.map(lambda leaf: np.array(leaf, np.float64), params)


def numpy_loss(params, x=X, blocks=()):
    """PBN's loss in training, dropout 0, again from its definition; float64."""

    def perceptron(h, layers):
        for group, linear, norm in layers:
            h = h @ params[group][linear]["kernel"] + params[group][linear]["bias"]
            if norm:
                h = np.maximum(h, 0)
                h = (h - h.mean(axis=0)) / np.sqrt(h.var(axis=0) + 1e-5)
                h = h * params[group][norm]["scale"] + params[group][norm]["bias"]
        return h

    latent = perceptron(x, LAYERS[:3]) * (np.arange(ROOM) < LATENT)
    z = latent / np.linalg.norm(latent, axis=1, keepdims=True)
    logits = (z @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"])[:, :2]
    log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    labelled = np.flatnonzero(Y >= 0)
    cross_entropy = -log_softmax[labelled, Y[labelled]].mean()
    rebuilt = perceptron(z, LAYERS[3:])
    cost = np.square(rebuilt - x)
    for start, stop in blocks:
        part = rebuilt[:, start:stop]
        log_p = part - np.log(np.exp(part).sum(axis=1, keepdims=True))
        cost[:, start:stop] = -log_p * (x[:, start:stop] > 0) / np.log(stop - start)
    reconstruction = cost.sum(axis=1).mean()
    return W * cross_entropy + (1 - W) * reconstruction, cross_entropy, reconstruction


def numpy_gradient(params, size=1e-6):
    """By central differences, a weight at a time."""
    leaves, treedef = jax.tree.flatten(params)
    grads = [np.zeros_like(leaf) for leaf in leaves]
    for leaf, grad in zip(leaves, grads, strict=True):
        for i in np.ndindex(leaf.shape):
            value = leaf[i]
            leaf[i] = value + size
            above = numpy_loss(params)[0]
            leaf[i] = value - size
            grad[i] = (above - numpy_loss(params)[0]) / (2 * size)
            leaf[i] = value
    return jax.tree.unflatten(treedef, grads)


def test_loss_is_its_definition(ours, rtol):
    states, losses = ours
    for state, info in zip(states[:-1], losses, strict=True):
        total, cross_entropy, reconstruction = numpy_loss(float64(state.params))
        np.testing.assert_allclose(info["loss"], total, rtol=10 * rtol)
        np.testing.assert_allclose(info["cross_entropy"], cross_entropy, rtol=10 * rtol)
        np.testing.assert_allclose(info["reconstruction"], reconstruction, rtol=10 * rtol)


def test_loss_with_categories_is_its_definition(rtol):
    blocks, x = ((0, 2), (3, 5)), X.copy()
    for i, (start, stop) in enumerate(blocks):
        x[:, start:stop] = 0.7 * np.eye(2)[(np.arange(N) + i) // 3 % 2]
    method = pbn(dataclasses.replace(SPEC, blocks=blocks))
    data = NCDData(x, Y)
    state = INIT(KEY, data, GOAL, HPARAMS)
    # What a step tells, compiled without the step.
    losses = jax.jit(lambda *arguments: method.stages[0].step(*arguments)[1])
    info = losses(KEY, state, data, HPARAMS)
    expected = numpy_loss(float64(state.params), x, blocks)
    for name, value in zip(("loss", "cross_entropy", "reconstruction"), expected, strict=True):
        np.testing.assert_allclose(info[name], value, rtol=10 * rtol, err_msg=name)


def test_gradient_and_adamw_against_finite_differences(ours, rtol):
    """Every weight after one step of AdamW, whose first step is the sign of the gradient."""
    states, _ = ours
    params = float64(states[0].params)
    grads = numpy_gradient(params)
    (moments, *_) = states[1].opt
    jax.tree.map(
        lambda m, g: np.testing.assert_allclose(np.asarray(m) / 0.1, g, rtol=100 * rtol, atol=1e-4),
        moments.mu,
        grads,
    )

    def check(after, before, grad):
        clear = np.abs(grad) > 1e-3
        expected = np.sign(grad) + WEIGHT_DECAY * before
        np.testing.assert_allclose((before - after)[clear] / LR, expected[clear], atol=3e-4)

    jax.tree.map(check, float64(states[1].params), params, grads)


def test_against_torch(ours, rtol):
    """The network and the optimiser of the authors' framework, from the same weights."""
    torch = pytest.importorskip("torch")
    states, losses = ours
    params = jax.tree.map(lambda leaf: torch.tensor(np.array(leaf)), states[0].params)

    def linear(weights):
        layer = torch.nn.Linear(*weights["kernel"].shape)
        layer.weight.data, layer.bias.data = weights["kernel"].T.clone(), weights["bias"]
        return layer

    def perceptron(layers):
        modules = []
        for group, name, norm in layers:
            modules.append(linear(params[group][name]))
            if norm:
                modules += [torch.nn.ReLU(), torch.nn.BatchNorm1d(modules[-1].out_features)]
        return torch.nn.Sequential(*modules)

    net = torch.nn.ModuleDict(
        {
            "encoder": perceptron(LAYERS[:3]),
            "classifier": linear(params["Dense_0"]),
            "decoder": perceptron(LAYERS[3:]),
        }
    )
    optimiser = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    x, y = torch.tensor(X), torch.tensor(Y, dtype=torch.long)
    smallest = {p: torch.full_like(p, torch.inf) for p in net.parameters()}
    for info in losses:
        latent = net["encoder"](x) * (torch.arange(ROOM) < LATENT)
        z = torch.nn.functional.normalize(latent)
        logits = net["classifier"](z)[:, :2]
        known = torch.nn.functional.cross_entropy(logits, y, ignore_index=-1)
        loss = W * known + (1 - W) * (net["decoder"](z) - x).square().sum(dim=1).mean()
        np.testing.assert_allclose(info["loss"], loss.item(), rtol=10 * rtol)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        for p, size in smallest.items():
            torch.minimum(size, p.grad.abs(), out=size)

    compared = []

    def check(module, weights):
        pairs = [(weights.get("kernel", weights.get("scale")), module.weight)]
        pairs += [(weights["bias"], module.bias)]
        for ours, theirs in pairs:
            # Some gradients are nothing but rounding (BatchNorm takes away the bias of a unit
            # that is active everywhere), and AdamW steps by the sign of that.
            clear = smallest[theirs].numpy().T > 1e-4
            difference = np.abs(np.asarray(ours) - theirs.detach().numpy().T)
            assert (difference <= np.where(clear, LR * 5e-2, 2 * STEPS * LR)).all()
            compared.append(clear.ravel())

    after = states[-1].params
    check(net["classifier"], after["Dense_0"])
    for half, layers in (("encoder", LAYERS[:3]), ("decoder", LAYERS[3:])):
        modules = [m for m in net[half] if not isinstance(m, torch.nn.ReLU)]
        names = [(group, name) for group, *pair in layers for name in pair if name]
        for module, (group, name) in zip(modules, names, strict=True):
            check(module, after[group][name])
    assert np.concatenate(compared).mean() > 0.6


@pytest.fixture(scope="module")
def learnt(blobs):
    """PBN after training at either end of `w`, on blobs whose last is novel."""
    x, classes = blobs([N // 4] * 4, D)
    y = np.where(classes == 3, -1, classes).astype(np.int32)
    data = NCDData((x - x.mean(axis=0)) / x.std(axis=0), y)
    raw = pbn(dataclasses.replace(SPEC, normalise=False))

    @jax.jit
    def look(state):
        out = ProjectionNet(D, C, ROOM).apply(variables_of(state), data.x, LATENT, 0.0, train=False)
        return out.logits, raw.represent(state, data.x)

    def train(w):
        hparams = HPARAMS._replace(lr=np.float32(3e-3), w=np.float32(w))
        state, infos = INIT(KEY, data, GOAL, hparams), []
        for i in range(150):
            state, info = STEP(jax.random.fold_in(KEY, i), state, data, hparams)
            infos.append(info)
        return jax.tree.map(lambda *leaves: np.array(leaves), *infos), *map(np.asarray, look(state))

    return y, {w: train(w) for w in (0.0, 1.0)}


def test_w_is_the_share_of_the_cross_entropy(learnt):
    """Each end of `w` lowers its own part of the loss, and is it."""
    y, results = learnt
    info, logits, _ = results[1.0]
    np.testing.assert_array_equal(info["loss"], info["cross_entropy"])
    assert info["cross_entropy"][-1] < 0.5 * info["cross_entropy"][0]
    assert (logits.argmax(axis=1) == y)[y >= 0].all()
    info, _, _ = results[0.0]
    np.testing.assert_array_equal(info["loss"], info["reconstruction"])
    assert info["reconstruction"][-1] < 0.5 * info["reconstruction"][0]


def test_representation_is_normalised_unless_told_otherwise(learnt, ours):
    _, results = learnt
    raw = np.linalg.norm(results[0.0][2], axis=1)
    assert raw.std() > 1e-3
    z = np.asarray(jax.jit(METHOD.represent)(ours[0][0], X))
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(z[:, LATENT:], 0)
