"""Multi-task IMPALA: the learner, and the system that joins it to the games."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl_suite.core import (
    HostSystem,
    Learner,
    Metrics,
    Source,
    System,
    SystemState,
    fuse,
)
from jaxrl_suite.envs import arcade, rollout
from jaxrl_suite.ops import popart
from jaxrl_suite.ops.harmony import average_harmony_score
from jaxrl_suite.systems.impala import build, emulated, losses
from jaxrl_suite.systems.impala.config import Config, Hyper
from jaxrl_suite.systems.impala.evaluate import evaluate_policy


class LearnerState(NamedTuple):
    """Everything of the learner that must be saved.

    params: of the network.
    optimizer: RMSProp's moments.
    popart: moments of the value targets, per value head.
    num_updates: int32 [], the version of `params`.
    hyper: numbers of the learning rule.
    """

    params: dict
    optimizer: optax.OptState
    popart: popart.PopArtState
    num_updates: jax.Array
    hyper: Hyper


def _optimizer(hyper: Hyper) -> optax.GradientTransformation:
    """Global-norm clip, then RMSProp as in PyTorch (epsilon outside the root)."""
    return optax.chain(
        optax.clip_by_global_norm(hyper.max_grad_norm),
        optax.scale_by_rms(hyper.rms_decay, hyper.rms_epsilon, eps_in_sqrt=False),
    )


def _learning_rate(hyper: Hyper, num_updates: jax.Array) -> jax.Array:
    """Linear from the start value to 0 over anneal_updates; constant where that is 0."""
    share_left = 1.0 - num_updates / jnp.maximum(hyper.anneal_updates, 1)
    scale = jnp.where(hyper.anneal_updates > 0, jnp.maximum(share_left, 0.0), 1.0)
    return hyper.learning_rate * scale


def impala_learner(config: Config) -> Learner:
    """The learner: V-trace actor-critic with RMSProp on batches of :class:`rollout.Sequences`.

    Args:
      config: what fixes the program.

    Returns:
      A learner whose state is :class:`LearnerState`.
    """
    network = build.network(config)
    num_variants = len(config.variants)

    def init(key: jax.Array, hyper: Hyper) -> LearnerState:
        hyper = jax.tree.map(jnp.asarray, hyper)
        seen = config.observation
        observation = jnp.zeros((1, 1, *seen.shape), seen.dtype)
        zeros = jnp.zeros((1, 1))
        params = network.init(
            key, observation, zeros > 0, zeros.astype(jnp.int32), zeros, network.initial_carry(1)
        )
        return LearnerState(
            params=params,
            optimizer=_optimizer(hyper).init(params),
            popart=popart.init(network.num_values),
            num_updates=jnp.zeros((), jnp.int32),
            hyper=hyper,
        )

    def gradients(
        state: LearnerState, batch: rollout.Sequences, on_policy: jax.Array
    ) -> tuple[dict, losses.LossOutput, Metrics]:
        def grad(batch: rollout.Sequences, on_policy: jax.Array) -> tuple[dict, losses.LossOutput]:
            args = (network, batch, on_policy, state.popart, state.hyper, config.correction)
            return jax.grad(losses.loss, has_aux=True)(state.params, *args)

        if not config.measure_harmony:
            return *grad(batch, on_policy), {}
        # Column b plays variant b mod N, so columns fold into [B/N, N] and the gradient of the
        # sum is the sum of the variants' gradients: the score costs memory, not arithmetic.
        grads, output = jax.vmap(grad)(
            rollout.split_columns(batch, num_variants),
            rollout.split_axis(on_policy, 0, num_variants),
        )
        harmony = average_harmony_score(grads)
        scores = {"harmony": harmony.score, "harmony_counted": harmony.counted}
        output = losses.LossOutput(
            metrics=jax.tree.map(lambda x: jnp.sum(x, axis=0), output.metrics),
            value_targets=rollout.join_axis(output.value_targets, 1),
            log_ratios=rollout.join_axis(output.log_ratios, 1),
            rounding=jnp.max(output.rounding),
        )
        return jax.tree.map(lambda g: jnp.sum(g, axis=0), grads), output, scores

    def update(state: LearnerState, batch: rollout.Sequences) -> tuple[LearnerState, Metrics]:
        hyper = state.hyper
        lag = state.num_updates - batch.version
        grads, output, scores = gradients(state, batch, on_policy=lag == 0)
        directions, optimizer = _optimizer(hyper).update(grads, state.optimizer, state.params)
        rate = _learning_rate(hyper, state.num_updates)
        params = jax.tree.map(lambda p, d: p - rate * d, state.params, directions)
        moments = state.popart
        if config.popart:
            moments = popart.update(
                moments, output.value_targets, batch.task_index, batch.valid, hyper.popart_step
            )
            params = _rescaled(params, state.popart, moments)

        metrics = per_step(output.metrics)
        metrics |= losses.lag_metrics(lag, batch.valid, output.log_ratios)
        metrics |= return_metrics(batch.last_return, batch.task_index, num_variants)
        metrics |= scores
        metrics["ratio_rounding"] = output.rounding
        metrics["grad_norm"] = optax.tree.norm(grads)
        metrics["learning_rate"] = rate
        state = LearnerState(params, optimizer, moments, state.num_updates + 1, hyper)
        return state, metrics

    return Learner(init, update)


def _rescaled(params: dict, old: popart.PopArtState, new: popart.PopArtState) -> dict:
    """Parameters whose unnormalised values are the same under the new moments."""
    head = params["params"]["value"]
    kernel, bias = popart.rescale_head(head["kernel"], head["bias"], old, new)
    return {"params": {**params["params"], "value": {"kernel": kernel, "bias": bias}}}


def per_step(sums: Metrics) -> Metrics:
    """Sums over a batch as means over its valid steps."""
    num_valid = jnp.maximum(sums["num_valid"], 1.0)
    return {name: value / num_valid for name, value in sums.items() if name != "num_valid"}


def return_metrics(last_return: jax.Array, task_index: jax.Array, num_tasks: int) -> Metrics:
    """Mean return of the environments' last finished episodes, overall and per variant.

    Args:
      last_return: [B], NaN where no episode has finished yet.
      task_index: int32 [B].
      num_tasks: N.

    Returns:
      `return`, the mean over variants that have finished one, and `return_per_variant` [N]; NaN
      where none has. Rewards are as the game gives them, unclipped.
    """
    finished = ~jnp.isnan(last_return)
    member = jax.nn.one_hot(task_index, num_tasks) * finished[:, None]
    total = jnp.sum(jnp.where(finished, last_return, 0.0)[:, None] * member, axis=0)
    per_variant = total / jnp.sum(member, axis=0)
    return {"return": jnp.nanmean(per_variant), "return_per_variant": per_variant}


def impala_source(config: Config) -> Source:
    """Lagged, optionally replayed rollouts of the configured variants of an arcade game."""
    network = build.network(config)
    names = config.variants
    source = rollout.rollout(
        build.environment(config),
        arcade.stack_variants(arcade.make(config.game), names),
        build.policy(network),
        network.initial_carry(config.num_envs),
        batch_size=config.num_envs,
        unroll_length=config.unroll_length,
    )
    return build.lagged(config, source)


def make(config: Config, hyper: Hyper, seed: int = 0) -> System | HostSystem:
    """Multi-task IMPALA as a closed loop, one compiled program wherever the games allow.

    Args:
      config: what fixes the program.
      hyper: numbers of the learning rule; ``System.init`` takes others in their place.
      seed: of Atari's emulators, which are not part of the state.

    Returns:
      The system; ``evaluate`` plays the training variants. A HostSystem if actor threads play
      Atari; a run loop is needed to train that.

    Raises:
      UsageError: a configuration that no program can be made of.

    Example::

      preset = PRESETS["quick"]
      system = make(preset.config, preset.hyper)
      state, metrics = jax.jit(train(system, 100))(system.init(jax.random.key(0)))
    """
    config.check()
    hyper.check()
    learner = impala_learner(config)
    if config.is_atari:
        build_system = {"threads": emulated.host_system, "scan": emulated.scan_system}
        return build_system[config.actors.runner](config, hyper, learner, seed)

    def evaluate(state: SystemState, key: jax.Array) -> Metrics:
        return evaluate_policy(config, config.variants, state.learner.params, key)

    return fuse(
        learner,
        impala_source(config),
        hyper=hyper,
        evaluate=evaluate,
        frames_per_update=config.frames_per_update,
    )
