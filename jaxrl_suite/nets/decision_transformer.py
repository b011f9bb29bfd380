"""A decision transformer that is told its task by a piece of a trajectory, or by the task's number.

Source: Chen et al. 2021, "Decision transformer"; Xu et al. 2022, "Prompting decision transformer
for few-shot policy generalization"; sizes and initialisation of Hu et al. 2024, released code.
"""

import dataclasses
import math
from typing import Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

TIMES = 1000  # time steps that have an embedding
_STD = 0.02  # of the trunk's initial weights
_DROPOUT_LEVELS = 256


@dataclasses.dataclass(frozen=True)
class TransformerConfig:
    """Sizes; the defaults are those of Hu et al. 2024.

    Attributes:
      layers: blocks.
      width: of a token.
      heads: of attention; they share the width.
      dropout: of embeddings, attention and residuals while training. differs: in steps of 1/256,
        so that 0.1 is 0.1016.
      condition: what tells the task: "prompt", a piece of a trajectory, or "task", its number.
      returns: whether returns-to-go are among the tokens; without them it clones behaviour.
      num_tasks: that have a number, with condition "task".
    """

    layers: int = 6
    width: int = 256
    heads: int = 8
    dropout: float = 0.1
    condition: Literal["prompt", "task"] = "prompt"
    returns: bool = True
    num_tasks: int = 1


class Steps(NamedTuple):
    """Consecutive steps of trajectories, [B, K], right-aligned where they are fewer.

    returns: [B, K], return-to-go, scaled.
    states: [B, K, D], normalised.
    actions: [B, K, A].
    times: int32 [B, K], step of the episode.
    valid: bool [B, K], false for padding.
    """

    returns: jax.Array
    states: jax.Array
    actions: jax.Array
    times: jax.Array
    valid: jax.Array


class Memory(NamedTuple):
    """What attention needs of tokens that came before, of every layer.

    keys, values: [L, B, T, H, width / H].
    valid: bool [B, T].
    """

    keys: jax.Array
    values: jax.Array
    valid: jax.Array


def _uniform(fan_in: int) -> nn.initializers.Initializer:
    """U(-1, 1) / sqrt(fan_in), of weights and biases."""
    bound = 1.0 / math.sqrt(fan_in)
    return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -bound, bound)


def _linear(size: int, fan_in: int, name: str) -> nn.Dense:
    uniform = _uniform(fan_in)
    return nn.Dense(size, kernel_init=uniform, bias_init=uniform, name=name)


def _trunk_linear(size: int, name: str) -> nn.Dense:
    return nn.Dense(size, kernel_init=nn.initializers.normal(_STD), name=name)


def _norm(name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=1e-5, name=name)


def drop(x: jax.Array, rate: float, key: jax.Array | None) -> jax.Array:
    """x with a share of entries set to 0 and the others scaled up; as it is without a key.

    Bytes decide, a quarter of the work of floats, so that the share is a multiple of 1/256.
    """
    cut = round(rate * _DROPOUT_LEVELS)
    if key is None or not cut:
        return x
    kept = jax.random.bits(key, x.shape, jnp.uint8) >= cut
    return jnp.where(kept, x * (_DROPOUT_LEVELS / (_DROPOUT_LEVELS - cut)), 0.0)


class Block(nn.Module):
    """Attention and a two-layer perceptron, each after a layer norm and added to what came in."""

    config: TransformerConfig

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        visible: jax.Array,
        before: tuple[jax.Array, jax.Array] | None,
        wanted: np.ndarray,
        key: jax.Array | None,
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """One block.

        Args:
          x: [B, T, width].
          visible: bool [B, Q, S], which of the S = T' + T tokens each wanted one attends to.
          before: keys and values [B, T', H, C] of tokens that came before.
          wanted: Q of the T places whose output is needed; the others are not computed.
          key: of dropout; None for none.

        Returns:
          [B, Q, width], and the keys and values [B, T, H, C].
        """
        config, (batch, length, width) = self.config, x.shape
        keys = [None] * 3 if key is None else list(jax.random.split(key, 3))
        seen = _norm("norm_attention")(x)
        # One product for all three, as in the original; its columns are queries, keys, values.
        weights = _trunk_linear(3 * width, "attention")
        whole = len(wanted) == length
        split = lambda y: y.reshape(batch, -1, config.heads, width // config.heads)  # noqa: E731
        projected = weights(seen)
        query, own_keys, own_values = map(split, jnp.split(projected, 3, axis=-1))
        if not whole:
            query, x = query[:, wanted], x[:, wanted]
        all_keys, all_values = own_keys, own_values
        if before is not None:
            all_keys = jnp.concatenate([before[0], own_keys], axis=1)
            all_values = jnp.concatenate([before[1], own_values], axis=1)
        scores = jnp.einsum("bqhc,bshc->bhqs", query, all_keys) / math.sqrt(query.shape[-1])
        scores = jnp.where(visible[:, None], scores, -1e9)
        attention = drop(jax.nn.softmax(scores, axis=-1), config.dropout, keys[0])
        mixed = jnp.einsum("bhqs,bshc->bqhc", attention, all_values).reshape(batch, -1, width)
        x = x + drop(_trunk_linear(width, "projection")(mixed), config.dropout, keys[1])
        hidden = nn.relu(_trunk_linear(4 * width, "mlp_in")(_norm("norm_mlp")(x)))
        x = x + drop(_trunk_linear(width, "mlp_out")(hidden), config.dropout, keys[2])
        return x, own_keys, own_values


class DecisionTransformer(nn.Module):
    """Actions from returns-to-go, states and actions so far, and from what tells the task.

    Parameters of the trunk are named ``block_0`` .. and ``norm``; all others embed or predict.
    differs: the released code has heads for states and returns, and a few more parameters, that are
    never used; they are left out.
    """

    config: TransformerConfig
    state_size: int
    action_size: int

    def setup(self) -> None:
        """Makes the layers."""
        width = self.config.width
        self.blocks = [Block(self.config, name=f"block_{i}") for i in range(self.config.layers)]
        self.norm = _norm("norm")
        self.embed_norm = _norm("embed_norm")
        self.context_layers = self._embedders("embed")
        if self.config.condition == "prompt":
            self.prompt_layers = self._embedders("prompt")
        else:
            normal = nn.initializers.normal(1.0)
            tasks = self.config.num_tasks
            self.task_table = nn.Embed(tasks, width, embedding_init=normal, name="embed_task")
        self.predict_action = _linear(self.action_size, width, "predict_action")

    def _embedders(self, prefix: str) -> dict[str, nn.Module]:
        width, normal = self.config.width, nn.initializers.normal(1.0)
        layers = {"time": nn.Embed(TIMES, width, embedding_init=normal, name=f"{prefix}_time")}
        if self.config.returns:
            layers["return"] = _linear(width, 1, f"{prefix}_return")
        layers["state"] = _linear(width, self.state_size, f"{prefix}_state")
        layers["action"] = _linear(width, self.action_size, f"{prefix}_action")
        return layers

    def __call__(
        self, told: Steps | jax.Array, context: Steps, key: jax.Array | None = None
    ) -> jax.Array:
        """Actions [B, K, A], each from the tokens up to its own state.

        Args:
          told: a prompt [B, K*], or the tasks' numbers int32 [B].
          context: [B, K].
          key: of dropout; None for none.
        """
        first, first_valid = self._told(told)
        tokens, valid = self._tokens(self.context_layers, context)
        tokens = self.embed_norm(tokens)  # context alone, as in the original
        start, each = first.shape[1], self._each
        x = jnp.concatenate([first, tokens], axis=1)
        valid = jnp.concatenate([first_valid, valid], axis=1)
        states = start + each * np.arange(context.valid.shape[1]) + each - 2
        x, _ = self._trunk(x, valid, None, states, key)
        return self._action(x)

    def remember(self, told: Steps | jax.Array) -> Memory:
        """What every later step of an episode needs of its prompt."""
        x, valid = self._told(told)
        _, memory = self._trunk(x, valid, None, np.arange(x.shape[1]), None)
        return Memory(*memory, valid)

    def act(self, memory: Memory, context: Steps) -> jax.Array:
        """The last action [B, A] of :meth:`__call__`, exactly; the last step's own is not read."""
        tokens, valid = self._tokens(self.context_layers, context)
        tokens = self.embed_norm(tokens)[:, :-1]
        last = np.array([tokens.shape[1] - 1])
        x, _ = self._trunk(tokens, valid[:, :-1], memory, last, None)
        return self._action(x)[:, 0]

    @property
    def _each(self) -> int:
        """Tokens of a step."""
        return 3 if self.config.returns else 2

    def _action(self, x: jax.Array) -> jax.Array:
        return jnp.tanh(self.predict_action(x))

    def _told(self, told: Steps | jax.Array) -> tuple[jax.Array, jax.Array]:
        """Tokens [B, T, width] that come first, and which of them are valid [B, T]."""
        if self.config.condition == "prompt":
            return self._tokens(self.prompt_layers, told)
        return self.task_table(told)[:, None], jnp.ones((told.shape[0], 1), bool)

    def _tokens(self, layers: dict[str, nn.Module], steps: Steps) -> tuple[jax.Array, jax.Array]:
        """Each step's return, state and action, one after the other, its time added to each."""
        time = layers["time"](steps.times)
        parts = [layers["state"](steps.states), layers["action"](steps.actions)]
        if self.config.returns:
            parts.insert(0, layers["return"](steps.returns[..., None]))
        stacked = jnp.stack([part + time for part in parts], axis=2)
        batch, count, each, width = stacked.shape
        return (
            stacked.reshape(batch, count * each, width),
            jnp.repeat(steps.valid, each, axis=1),
        )

    def _trunk(
        self,
        x: jax.Array,
        valid: jax.Array,
        memory: Memory | None,
        wanted: np.ndarray,
        key: jax.Array | None,
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """All blocks; the last one only where it is wanted. Returns keys and values of all."""
        layers, length = self.config.layers, x.shape[1]
        keys = [None] * (layers + 1) if key is None else list(jax.random.split(key, layers + 1))
        causal = np.tril(np.ones((length, length), bool))
        visible = causal[None] & valid[:, None]
        if memory is not None:
            seen = jnp.broadcast_to(
                memory.valid[:, None], (x.shape[0], length, memory.valid.shape[1])
            )
            visible = jnp.concatenate([seen, visible], axis=2)
        x = drop(x, self.config.dropout, keys[-1])
        kept = []
        for i, block in enumerate(self.blocks):
            last = i == layers - 1
            places = wanted if last else np.arange(length)
            before = None if memory is None else (memory.keys[i], memory.values[i])
            rows = visible[:, places] if last else visible
            x, *own = block(x, rows, before, places, keys[i])
            kept.append(own)
        stacked = tuple(jnp.stack(part) for part in zip(*kept, strict=True))
        return self.norm(x), stacked


def in_trunk(path: tuple) -> bool:
    """Whether a parameter belongs to the trunk, by its path in ``params``."""
    name = str(getattr(path[0], "key", path[0]))
    return name.startswith("block_") or name == "norm"
