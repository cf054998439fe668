"""TabularNCD: known classes and novel clusters are learned together, on one latent space.

A classification head tells the known classes and "some novel class" apart. A clustering head
puts unlabelled rows with similar latents into the same cluster; the clusters are its largest
output. Both have to say the same of a row and of a point between it and a neighbour.

In folds the source calls all unlabelled rows novel. Here only those that the fold hides are: the
others are in no class and no cluster, and serve as neighbours and in what the classification head
says of moved rows.

Sources: Troisemaine et al., "A Method for Discovering Novel Classes in Tabular Data", 2022,
arXiv 2209.01217, without its pretraining, as in Troisemaine et al., "A Practical Approach to
Novel Class Discovery in Tabular Data", 2024, arXiv 2311.05440, section 6.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ncd_jax.clustering.rows import class_means
from ncd_jax.methods import spaces
from ncd_jax.methods.parts import (
    adamw,
    descend,
    in_training,
    present_classes,
    variables_of,
)
from ncd_jax.methods.spec import MethodInfo, Spec
from ncd_jax.networks.augmentation import Memory, augment, empty_memory, push
from ncd_jax.networks.losses import (
    disagreement,
    known_cross_entropy,
    pair_cross_entropy,
    similar_pairs,
)
from ncd_jax.networks.tabular_ncd_net import TabularNCDNet, TabularNCDOutput
from ncd_jax.types import UNLABELLED, Array, Batch, Clusters, Goal, Method, NCDData, Stage

__all__ = ["INFO", "HParams", "JointTraining", "State", "tabular_ncd"]

MEMORY = 2000


class HParams(NamedTuple):
    """Traced hyperparameters, each a scalar; `spaces` says what they mean.

    Attributes:
        top_k: most similar rows that belong together, as a share of what each class would have
            of the rows of the batch that are to be told apart, were all equally large. With the
            variant `fraction` a share of all these rows, with `percent` per cent of them.
        w1: share of the cross-entropy in the loss of the classification head; the rest is
            agreement on moved rows.
        w2: share of the pairs in the loss of the clustering head; the rest is as above.
    """

    lr: Array
    dropout: Array
    latent_dim: Array
    k_neighbors: Array
    top_k: Array
    w1: Array
    w2: Array


class JointTraining(NamedTuple):
    """What only training needs.

    Attributes:
        moments: state of the optimiser.
        memory: rows of earlier batches.
    """

    moments: Any
    memory: Memory


class State(NamedTuple):
    """What the next step needs.

    Attributes:
        params: weights.
        batch_stats: running statistics of BatchNorm.
        opt: what only training needs.
        present: `bool[C]`, known classes with a labelled row in the training data.
        k: scalar i32, cluster slots in use.
        latent_dim: scalar i32, latent columns in use.
    """

    params: Any
    batch_stats: Any
    opt: JointTraining
    present: Array
    k: Array
    latent_dim: Array


def tabular_ncd(spec: Spec) -> Method:
    """TabularNCD as pure functions for the shapes in `spec`."""
    net = TabularNCDNet(spec.n_features, spec.n_known, spec.latent_width, spec.max_clusters)
    its = _Functions(spec, net, spec.variant or INFO.variants[0])
    stages = (Stage(its.step),)
    return Method(its.init, stages, its.represent, its.cluster, its.assign, spec.max_clusters)


@dataclass(frozen=True)
class _Functions:
    """The functions of the method.

    Attributes:
        spec: static facts.
        net: the network.
        variant: how `top_k` is read.
    """

    spec: Spec
    net: TabularNCDNet
    variant: str

    def init(self, key: Array, data: NCDData, goal: Goal, hparams: HParams, /) -> State:
        one, no_dropout = jnp.ones((1, 1), jnp.float32), jnp.float32(0.0)
        variables: Any = self.net.init(
            key, data.x[:1], one, hparams.latent_dim, no_dropout, train=False
        )
        # A memory of more rows than there are would hold the same ones again.
        memory = empty_memory(min(MEMORY, len(data.x)), self.spec.n_features)
        return State(
            **variables,
            opt=JointTraining(adamw(hparams.lr).init(variables["params"]), memory),
            present=present_classes(data.y, self.spec.n_known),
            k=jnp.asarray(goal.k, jnp.int32),
            latent_dim=jnp.asarray(hparams.latent_dim, jnp.int32),
        )

    def step(
        self, key: Array, state: State, batch: Batch, hparams: HParams, /
    ) -> tuple[State, dict[str, Array]]:
        """A step on a batch and the same rows moved towards neighbours."""
        key_move, key_dropout = jax.random.split(key)
        labelled, memory = batch.y != UNLABELLED, state.opt.memory
        moved = augment(key_move, batch.x, labelled, memory, hparams.k_neighbors, self.spec.blocks)
        rows, kinds = jnp.concatenate([batch.x, moved]), _kinds(labelled)

        def loss(params: Any) -> tuple[dict[str, Array], Any]:
            inputs = rows, kinds, hparams.latent_dim, hparams.dropout
            out, batch_stats = in_training(self.net, params, state, key_dropout, *inputs)
            of_rows = jax.tree.map(lambda a: a[: len(labelled)], out)
            of_moved = jax.tree.map(lambda a: a[len(labelled) :], out)
            return self.losses(of_rows, of_moved, state, batch, hparams), batch_stats

        state, moments, info = descend(loss, state, state.opt.moments, hparams.lr)
        return state._replace(opt=JointTraining(moments, push(memory, batch.x, labelled))), info

    def losses(
        self,
        out: TabularNCDOutput,
        moved: TabularNCDOutput,
        state: State,
        batch: Batch,
        hparams: HParams,
    ) -> dict[str, Array]:
        """Of a batch and of the same rows moved towards neighbours."""
        novel = jnp.where(batch.wanted, self.spec.n_known, UNLABELLED)
        y = jnp.where(batch.y == UNLABELLED, novel, batch.y)
        classes = jnp.concatenate([state.present, jnp.ones(1, bool)])
        cross_entropy = known_cross_entropy(out.logits, y, classes)
        everywhere = jnp.ones(len(y), bool)
        steady_classes = disagreement(out.logits, moved.logits, everywhere, classes)
        # Among the rows to be told apart: in a fold the others are more classes than slots.
        slots = jnp.arange(self.spec.max_clusters) < state.k
        pairs = self.pair_loss(out, slots, state.k, batch, hparams.top_k)
        steady_clusters = disagreement(out.clusters, moved.clusters, batch.wanted, slots)
        classification = hparams.w1 * cross_entropy + (1.0 - hparams.w1) * steady_classes
        clustering = hparams.w2 * pairs + (1.0 - hparams.w2) * steady_clusters
        return {
            "loss": classification + clustering,
            "cross_entropy": cross_entropy,
            "pairs": pairs,
            "steady_classes": steady_classes,
            "steady_clusters": steady_clusters,
        }

    def pair_loss(
        self, out: TabularNCDOutput, slots: Array, k: Array, batch: Batch, top_k: Array
    ) -> Array:
        """Of rows with similar latents that are not in one cluster."""
        # Folds hide fewer classes than there are novel ones. What is most of a class among two is
        # more than one among five, and a share of all rows tuned on those would melt these.
        n_rows = jnp.sum(batch.wanted) / (k if self.variant == "class_share" else 1)
        # The authors' code divides by 100 what their text calls a share.
        unit = 0.01 if self.variant == "percent" else 1.0
        n_nearest = jnp.floor(unit * top_k * n_rows).astype(jnp.int32)
        places = batch.places
        if places is None:
            (places,) = jnp.nonzero(batch.wanted, size=len(batch.x), fill_value=0)
        told = jnp.arange(len(places)) < jnp.sum(batch.wanted)
        together = similar_pairs(jax.lax.stop_gradient(out.latent)[places], told, n_nearest)
        said = jnp.where(slots, out.clusters[places], -1e9)
        return pair_cross_entropy(said, together, told)

    def represent(self, state: State, x: Array, /) -> Array:
        kinds = jnp.ones((len(x), 1), x.dtype)
        out: Any = self.net.apply(variables_of(state), x, kinds, state.latent_dim, 0.0, train=False)
        latent: Array = out.latent
        return latent

    def assign(self, state: State, z: Array, centroids: Array, active: Array, /) -> Array:
        """The active cluster `i32[n]` for which the clustering head says most."""
        del centroids
        said: Any = self.net.apply({"params": state.params}, z, method="clusters")
        return jnp.argmax(jnp.where(active, said, -jnp.inf), axis=1).astype(jnp.int32)

    def cluster(
        self, key: Array, state: State, z: Array, k: Array | int, mask: Array, /
    ) -> Clusters:
        """The clusters that were learnt, at most `k` of them; nothing is random any more."""
        del key
        active = jnp.arange(self.spec.max_clusters) < jnp.minimum(k, state.k)
        labels = self.assign(state, z, z, active)
        return Clusters(class_means(z, jnp.where(mask, labels, -1), len(active)), labels)


def _kinds(labelled: Array) -> Array:
    """Kinds `f32[2 * n, 3]` of the rows of a batch and, behind them, of the moved rows.

    The rows of the batch are one kind, unlabelled and labelled moved rows two more: the authors
    encode each alone. With all as one kind, and their hyperparameters, the accuracy on optdigits
    falls from 72 to 46 per cent.
    """
    n = len(labelled)
    rows = jnp.zeros((n, 3), jnp.float32).at[:, 0].set(1.0)
    moved = jnp.stack([jnp.zeros(n, bool), ~labelled, labelled], axis=1).astype(rows.dtype)
    return jnp.concatenate([rows, moved])


INFO = MethodInfo(
    title="TabularNCD",
    make=tabular_ncd,
    hparams=HParams,
    state=State,
    space=spaces.tabular_ncd,
    citation="C. Troisemaine, J. Flocon-Cholet, S. Gosselin, S. Vaton, A. Reiffers-Masson, "
    "V. Lemaire: A Method for Discovering Novel Classes in Tabular Data. IEEE International "
    "Conference on Knowledge Graph, 2022. arXiv 2209.01217.",
    variants=("class_share", "fraction", "percent"),
    needs_k=True,
)
