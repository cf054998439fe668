import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from tiers import few

from ncd_jax.methods.cr_kd import INFO, HParams
from ncd_jax.methods.parts import variables_of
from ncd_jax.methods.spec import Spec
from ncd_jax.networks.augmentation import two_views
from ncd_jax.networks.joint_heads import JointHeadsNet
from ncd_jax.networks.losses import reconstruction_error
from ncd_jax.types import UNLABELLED, Batch, Goal, NCDData

D, C, ROOM, LATENT, SLOTS = 6, 4, 10, 8, 5
KEY = jax.random.key(0)
HPARAMS = HParams(
    lr=jnp.float32(1e-2),
    dropout=jnp.float32(0.0),
    latent_dim=jnp.int32(LATENT),
    alpha=jnp.float32(0.1),
    mask_rate=jnp.float32(0.2),
    noise=jnp.float32(0.1),
    reconstruction=jnp.float32(0.1),
)
VARIANTS = pytest.mark.parametrize("variant", INFO.variants)


@functools.cache
def method(variant="relaxed", blocks=()):
    return INFO.make(Spec(D, C, ROOM, max_clusters=SLOTS, variant=variant, blocks=blocks))


@functools.cache
def steps(variant="relaxed"):
    """The compiled steps of both stages."""
    return [jax.jit(stage.step) for stage in method(variant).stages]


ENTER = jax.jit(method().stages[1].enter)


@functools.cache
def compiled(name, variant="relaxed"):
    """One of the other functions of the method, whose results are taken to the host."""
    run = jax.jit(getattr(method(variant), name))
    return lambda *arguments: jax.tree.map(np.asarray, run(*arguments))


def represent(state, x, *variant):
    return compiled("represent", *variant)(state._replace(opt=None), x)


def assign(state, z, centroids, active, *variant):
    return compiled("assign", *variant)(state._replace(opt=None), z, centroids, active)


def cluster(state, z, k, mask, *variant):
    return compiled("cluster", *variant)(KEY, state._replace(opt=None), z, np.int32(k), mask)


def whole(data, goal):
    """All rows as one batch."""
    return Batch(data.x, data.y, np.isin(np.arange(len(data.x)), goal.rows[goal.mask]))


@jax.jit
def begin(data, goal, hparams):
    return method().init(KEY, data, goal, hparams)


@pytest.fixture(scope="module")
def problem(blobs):
    """Seven blobs: 0 to 2 are known, 3 is hidden and wanted, as 4 is, and nobody asks for 5, 6."""
    x, classes = blobs([20, 20, 20, 20, 30, 10, 10], D)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    data = NCDData(x, np.where(classes < 3, classes, UNLABELLED).astype(np.int32))
    wanted = np.flatnonzero((classes == 3) | (classes == 4)).astype(np.int32)
    # Padded with row 0, as folds are.
    rows = np.concatenate([wanted, np.zeros(5, np.int32)])
    mask = np.arange(len(rows)) < len(wanted)
    return data, Goal(rows, mask, np.int32(2)), classes


@pytest.fixture(scope="module")
def begun(problem):
    """A state where discovery begins, after a few steps of the first stage."""
    data, goal, _ = problem
    state = begin(data, goal, HPARAMS)
    for i in range(3):
        state, _ = steps()[0](jax.random.fold_in(KEY, i), state, whole(data, goal), HPARAMS)
    return ENTER(state)


def train(data, goal, hparams, variant="relaxed", n_steps=10):
    """State and last info of either stage. The first stage is the same in all variants."""
    state, infos = begin(data, goal, hparams), []
    stages = zip(method().stages, (steps()[0], steps(variant)[1]), strict=True)
    for stage, step in stages:
        state = ENTER(state) if infos else state
        for i in range(round(stage.share * n_steps)):
            state, info = step(jax.random.fold_in(KEY, i), state, whole(data, goal), hparams)
        infos.append(info)
    return state, infos


@jax.jit
def recognise(state, x):
    net, variables = JointHeadsNet(D, C, ROOM, SLOTS), variables_of(state)
    return net.apply(variables, x, state.latent_dim, 0.0, train=False, method="recognise")[1]


def known_cosines(state, x):
    return np.asarray(recognise(state._replace(opt=None), x))


def check_finite(tree):
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


def check_close(a, b, rtol=1e-4, atol=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), a, b)


@pytest.mark.parametrize("variant", few(INFO.variants, INFO.variants[0]))
def test_finds_what_is_wanted(variant, problem):
    """Two clusters of unequal size among rows that also hold classes nobody asks for."""
    data, goal, classes = problem
    state, infos = train(data, goal, HPARAMS, variant, n_steps=240)
    _, before = train(data, goal, HPARAMS, variant, n_steps=2)
    check_finite((state, infos))
    assert infos[0]["cross_entropy"] < 0.5 * before[0]["cross_entropy"]
    assert infos[1]["swapped"] < 0.7 * before[1]["swapped"]
    cosines = known_cosines(state, data.x)
    assert (cosines[:, :3].argmax(axis=1) == data.y)[data.y >= 0].all()
    z = represent(state, data.x, variant)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, rtol=1e-5)
    found = cluster(state, z[goal.rows], 2, goal.mask, variant)
    rows = goal.rows[goal.mask]
    labels = found.labels
    assert labels.max() < 2
    # Where sizes are to be equal, a row on the border may go to the smaller cluster.
    least = {"relaxed": 1.0, "equal": 0.8}[variant]
    assert adjusted_rand_score(classes[rows], labels[: len(rows)]) >= least
    for c in range(2):
        mean = z[rows][labels[: len(rows)] == c].mean(axis=0)
        np.testing.assert_allclose(found.centroids[c], mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found.centroids[2:], 0)
    again = assign(state, z[goal.rows], found.centroids, np.arange(SLOTS) < 2, variant)
    np.testing.assert_array_equal(again[goal.mask], labels[: len(rows)])


def test_other_unlabelled_rows_are_not_clustered(begun, problem):
    """Without rows that are wanted, nothing pulls on the clusters."""
    batch = whole(*problem[:2])
    nobody = batch._replace(wanted=np.zeros_like(batch.wanted))
    before = np.asarray(begun.params["novel_heads"]["prototypes"])
    _, info = steps()[1](KEY, begun, nobody, HPARAMS)
    _, with_them = steps()[1](KEY, begun, batch, HPARAMS)
    assert info["relation"] == 0 < with_them["relation"]
    unlabelled = nobody._replace(y=np.full_like(batch.y, UNLABELLED))
    after, info = steps()[1](KEY, begun, unlabelled, HPARAMS)
    assert info["swapped"] == 0
    shrunk = before * (1 - float(HPARAMS.lr) * 0.01)
    np.testing.assert_allclose(after.params["novel_heads"]["prototypes"], shrunk, rtol=1e-5)


def test_the_teacher_is_the_first_stage_and_stays(begun, problem):
    batch = whole(*problem[:2])
    params, teacher = begun.params, begun.opt.teacher
    for part in ("encoder", "known_head"):
        check_close(teacher["params"][part], params[part], 0, 0)
    check_close(teacher["batch_stats"]["encoder"], begun.batch_stats["encoder"], 0, 0)
    state = begun
    for i in range(3):
        state, _ = steps()[1](jax.random.fold_in(KEY, i), state, batch, HPARAMS)
    check_close(state.opt.teacher, teacher, 0, 0)
    assert not np.allclose(
        state.params["known_head"]["prototypes"], params["known_head"]["prototypes"]
    )


@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_alpha_zero_is_no_distillation(begun, problem, alpha):
    """Then the step does not depend on the teacher."""
    batch = whole(*problem[:2])
    other = jax.tree.map(lambda leaf: np.asarray(leaf)[..., ::-1], begun.opt.teacher)
    hparams = HPARAMS._replace(alpha=jnp.float32(alpha))
    one, info = steps()[1](KEY, begun, batch, hparams)
    two, other_info = steps()[1](
        KEY, begun._replace(opt=begun.opt._replace(teacher=other)), batch, hparams
    )
    assert abs(info["relation"] - other_info["relation"]) > 1e-3
    same = jax.tree.map(np.array_equal, one.params, two.params)
    assert all(jax.tree.leaves(same)) == (alpha == 0)


def test_the_reconstruction_weight_is_its_share_of_the_loss(begun, problem):
    batch = whole(*problem[:2])
    for step in steps():
        parts = []
        for weight in (0.0, 2.0):
            hparams = HPARAMS._replace(reconstruction=jnp.float32(weight))
            parts.append(jax.tree.map(np.asarray, step(KEY, begun, batch, hparams)[1]))
        np.testing.assert_allclose(
            parts[1]["loss"] - parts[0]["loss"], 2 * parts[0]["reconstruction"], rtol=1e-4
        )


@pytest.mark.thorough
@pytest.mark.parametrize("stage", [0, 1])
def test_categories_are_mixed_and_rebuilt_as_a_whole(begun, problem, stage):
    """What is rebuilt is told from the row as it was, and seen in views that keep to blocks."""
    blocks, batch = ((1, 3), (3, 6)), whole(*problem[:2])
    _, info = jax.jit(method(blocks=blocks).stages[stage].step)(KEY, begun, batch, HPARAMS)
    key_views, key_dropout = jax.random.split(KEY)
    views = two_views(key_views, batch.x, HPARAMS.mask_rate, HPARAMS.noise, blocks)
    x, part = ((batch.x, "describe"), (views.reshape(-1, D), "__call__"))[stage]
    out, _ = JointHeadsNet(D, C, ROOM, SLOTS).apply(
        {"params": begun.params, "batch_stats": begun.batch_stats},
        x,
        LATENT,
        0.0,
        train=True,
        method=part,
        rngs={"dropout": key_dropout},
        mutable=["batch_stats"],
    )
    rows = jnp.tile(batch.x, (1 + stage, 1))
    expected = reconstruction_error(out[-1], rows, blocks)
    np.testing.assert_allclose(info["reconstruction"], expected, rtol=1e-4)


def test_free_slots_take_no_part(begun, problem):
    """Whatever their prototypes are: with the losses' tests, a head of k slots does the same."""
    batch = whole(*problem[:2])
    heads = begun.params["novel_heads"]
    turned = np.array(heads["prototypes"])
    turned[:, 2:] *= -3
    other = begun._replace(params=begun.params | {"novel_heads": heads | {"prototypes": turned}})
    one, info = steps()[1](KEY, begun, batch, HPARAMS)
    two, other_info = steps()[1](KEY, other, batch, HPARAMS)
    check_close(info, other_info, 0, 0)
    gradients = [state.opt.moments[0].mu for state in (one, two)]
    check_close(*gradients, 0, 0)
    in_use = np.any(np.asarray(gradients[0]["novel_heads"]["prototypes"]) != 0, axis=(0, 2))
    np.testing.assert_array_equal(in_use, np.arange(SLOTS) < 2)


def test_the_head_with_the_lowest_loss_answers(begun, problem):
    data, *_ = problem
    z = represent(begun, data.x)
    active = np.arange(SLOTS) < 2
    answers = []
    for losses in ([1.0, 2.0], [2.0, 1.0]):
        state = begun._replace(head_loss=np.float32(losses))
        answers.append(assign(state, z, z, active))
    assert (answers[0] != answers[1]).any()
    heads = jax.tree.map(np.asarray, begun.params["novel_heads"])
    swapped = jax.tree.map(lambda leaf: leaf, heads)
    for name in ("kernel", "bias", "prototypes"):
        swapped[name] = heads[name][::-1]
    halves = {"Dense_0": ("kernel", "bias"), "BatchNorm_0": ("scale", "bias")}
    for layer, names in halves.items():
        swapped[layer] = {n: np.roll(heads[layer][n], 128, axis=-1) for n in names}
    stats = jax.tree.map(lambda leaf: np.roll(leaf, 128, axis=-1), begun.batch_stats["novel_heads"])
    state = begun._replace(
        params=begun.params | {"novel_heads": swapped},
        batch_stats=begun.batch_stats | {"novel_heads": stats},
        head_loss=np.float32([2.0, 1.0]),
    )
    np.testing.assert_array_equal(assign(state, z, z, active), answers[0])


@pytest.mark.parametrize("k", [2, 3, SLOTS])
def test_no_more_clusters_than_the_method_was_fitted_for(begun, problem, k):
    data, goal, _ = problem
    z = represent(begun, data.x)
    everywhere = np.ones(SLOTS, bool)
    favourite = int(assign(begun, z, z, everywhere)[0])
    # The slot that the first row likes best becomes the last one, which is free.
    heads = begun.params["novel_heads"]
    turned = np.roll(heads["prototypes"], SLOTS - 1 - favourite, axis=1)
    state = begun._replace(params=begun.params | {"novel_heads": heads | {"prototypes": turned}})
    assert assign(state, z, z, everywhere)[0] == SLOTS - 1
    everyone = np.ones(len(z), bool)
    found = cluster(state, z, k, everyone)
    assert found.centroids.shape == (SLOTS, ROOM)
    assert found.labels.max() < goal.k
    one = cluster(state, z, 1, everyone)
    np.testing.assert_array_equal(one.labels, 0)
    third = np.arange(SLOTS) == 2
    np.testing.assert_array_equal(assign(state, z, z, third), 2)


def test_latent_columns_that_are_not_in_use_take_no_part(begun, problem):
    data, *_ = problem
    heads = begun.params["known_head"]
    turned = np.array(heads["prototypes"])
    turned[:, LATENT:] = 9
    other = begun._replace(params=begun.params | {"known_head": {"prototypes": turned}})
    check_close(known_cosines(other, data.x), known_cosines(begun, data.x))
    assert (represent(begun, data.x)[:, LATENT:] == 0).all()


def corner(**changes):
    return HPARAMS._replace(**{name: jnp.float32(value) for name, value in changes.items()})


CORNERS = {
    "alpha": corner(alpha=1.0),
    "everything masked": corner(mask_rate=1.0),
    "noise": corner(noise=3.0),
    "dropout": corner(dropout=0.9),
    "no reconstruction": corner(reconstruction=0.0),
    "one latent column": HPARAMS._replace(latent_dim=jnp.int32(1)),
}


@pytest.mark.parametrize("name", CORNERS)
def test_stays_finite_at_corners(problem, name):
    data, goal, _ = problem
    check_finite(train(data, goal, CORNERS[name], n_steps=10))


@pytest.mark.thorough
def test_vmap_over_labels_and_hparams_equals_loop(begun, problem):
    """A step of discovery in lanes that share the rows alone."""
    batch = whole(*problem[:2])
    second = steps()[1]
    lanes = []
    for i, hparams in enumerate(CORNERS.values()):
        # Each lane hides one more class.
        y = jnp.where(batch.y < i % 3, UNLABELLED, batch.y)
        state = begun._replace(k=jnp.int32(1 + i % SLOTS), present=jnp.arange(C) >= i % 3)
        lanes.append((state, batch._replace(y=y), hparams))
    states, many, stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *lanes)
    shared = many._replace(x=batch.x)
    step = jax.vmap(second, (None, 0, Batch(None, 0, 0), 0))
    together, info = jax.jit(step)(KEY, states, shared, stacked)
    for i, lane in enumerate(lanes):
        state, alone = second(KEY, *lane)
        here = jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], (together, info))
        check_close(here[1], alone, 1e-3, 1e-4)
        check_close(here[0].opt.moments[0].mu, state.opt.moments[0].mu, 1e-2, 1e-4)


@pytest.mark.parametrize("case", ["all labelled", "nothing wanted", "k=1"])
def test_stays_finite_on_degenerate_data(problem, case):
    data, goal, _ = problem
    if case == "all labelled":
        data = data._replace(y=np.arange(len(data.y), dtype=np.int32) % 3)
    if case == "nothing wanted":
        goal = goal._replace(mask=np.zeros_like(goal.mask))
    if case == "k=1":
        goal = goal._replace(k=np.int32(1))
    state, infos = train(data, goal, HPARAMS)
    check_finite((state, infos))
    z = represent(state, data.x)
    check_finite(z)
    check_finite(cluster(state, z, goal.k, np.ones(len(z), bool)))
