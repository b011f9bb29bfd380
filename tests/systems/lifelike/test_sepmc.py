import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.quadruped import tag
from jaxrl_suite.systems.lifelike import Networks, epmc, ppo, sepmc
from tests.systems.lifelike import probes
from tests.systems.lifelike.small import HYPER, UPPER, flat

CONFIG = dataclasses.replace(UPPER, level="sepmc", memory=4)
POLICY = sepmc.policy(CONFIG)
SEEN = tag.SIZES | {"speed": 1}
STEPS, PLAYERS = 6, 3
FRESH = jnp.zeros((STEPS, PLAYERS), bool).at[3, 1].set(True)


def test_parameters_are_as_many_as_the_paper_s():
    config = dataclasses.replace(UPPER, level="sepmc", networks=Networks(), memory=32)
    shapes = jax.eval_shape(
        lambda key: sepmc.policy(config).init(key, HYPER, ()), jax.random.key(0)
    ).weights
    count = {name: sum(x.size for x in jax.tree.leaves(tree)) for name, tree in shapes.items()}
    assert count["policy"] + count["log_std"] == 108_369
    assert count["value"] == 182_864


@functools.cache
def played():
    """What acted, step by step: parameters, observations, the first memory and all that it did."""
    params = probes.params_of(POLICY, HYPER, probes.walker(CONFIG))
    observation = probes.told(SEEN, STEPS, PLAYERS)
    first = POLICY.memory(PLAYERS)
    first = first._replace(policy=jax.tree.map(lambda x: x + 0.3, first.policy))
    act = jax.jit(POLICY.act)

    def row(t):
        return jax.tree.map(lambda x: x[t], observation)

    memory, rows, after = first, [], []
    for t in range(STEPS):
        memory = ppo.where_fresh(FRESH[t], memory)
        memory, acted = act(params, row(t), memory, FRESH[t], jax.random.key(t))
        rows.append(acted)
        after.append(memory)
    acted = jax.tree.map(lambda *x: jnp.stack(x), *rows)
    return params, observation, first, acted, after


def test_what_acted_is_judged_alike():
    params, observation, first, acted, _ = played()
    judged = jax.jit(POLICY.judge)(
        params.weights, params, HYPER, observation, FRESH, first, acted.action, acted.noise
    )
    np.testing.assert_allclose(judged.log_prob, acted.log_prob, atol=1e-4)
    np.testing.assert_allclose(judged.value, acted.value, atol=1e-5)
    assert np.std(acted.value) > 0


def test_the_level_below_walks_where_it_is_headed():
    """With the heading as its target, at the game's speed, and from its own memory."""
    params, observation, _, acted, after = played()
    t = 2
    row = jax.tree.map(lambda x: x[t], observation)
    heading = np.asarray(acted.action[t, :, 0])
    target = np.column_stack([np.cos(heading), np.sin(heading), row["speed"][:, 0]])
    _, walking = jax.random.split(jax.random.key(t))
    memory, motion = jax.jit(epmc.step, static_argnums=0)(
        CONFIG, params.frozen, row | {"target": target}, after[t - 1].walking, FRESH[t], walking
    )
    np.testing.assert_allclose(motion, acted.motion[t], atol=1e-5)
    np.testing.assert_allclose(flat(memory.policy), flat(after[t].walking.policy), atol=1e-6)


def test_the_policy_sees_what_the_robot_does_and_the_critic_all_there_is():
    params, observation, first, _, _ = played()
    nets = sepmc.nets_of(CONFIG)

    @jax.jit
    def told(observation):
        seen = epmc.with_body(params.frozen.frozen, observation)
        _, headings = sepmc.heading_of(CONFIG, nets, params.weights, seen, FRESH, first.policy)
        weights = {"params": params.weights["value"]}
        return headings.mean, nets.value.apply(weights, seen, FRESH, first.value)[1]

    heading, value = told(observation)
    assert np.abs(heading).max() <= np.pi
    for name, moves_heading, moves_value in (
        ("vector", True, False),
        ("critic", False, True),
        ("body", True, True),
        ("speed", False, False),
    ):
        other = told(observation | {name: observation[name] + 1.0})
        assert (np.abs(other[0] - heading).max() > 0) == moves_heading, name
        assert (np.abs(other[1] - value).max() > 0) == moves_value, name
