"""Both levels closed: what is refused, what stays frozen, and that commanding skills pays."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError, train
from jaxrl_suite.envs.character import Rules
from jaxrl_suite.systems import ase
from jaxrl_suite.systems.ase import Networks
from jaxrl_suite.systems.ase import evaluate as evaluating
from tests.systems.ase.small import CONFIG, HIGH, HYPER, begun, same, system, trained

LEGAL = "none, follow, steering, speed, location, reach, strike"
REFUSED = [
    ({"body": "horse"}, "unknown body 'horse'; legal: humanoid, planar"),
    ({"level": "middle"}, "unknown level 'middle'; legal: low, high"),
    ({"task": "dance"}, f"unknown task 'dance'; legal: {LEGAL}"),
    ({"task": "strike"}, "the point has no task 'strike'; legal: none, location"),
    ({"hidden": ()}, r"hidden must name units, each at least 1, not \(\)"),
    ({"networks": Networks(latent=-1)}, r"networks\.latent must be at least 0, not -1"),
    ({"networks": Networks(style=())}, r"networks\.style must name units, each at least 1"),
    ({"networks": Networks(hidden=(8, 0))}, r"networks\.hidden must name units, each at least 1"),
    (
        {"networks": Networks(space="cube")},
        "unknown networks.space 'cube'; legal: sphere, gaussian",
    ),
    ({"num_envs": 0}, "num_envs must be at least 1, not 0"),
    ({"num_steps": 0}, "num_steps must be at least 1, not 0"),
    ({"epochs": 0}, "epochs must be at least 1, not 0"),
    ({"minibatch": 0}, "minibatch must be at least 1, not 0"),
    ({"repeat": 0}, "repeat must be at least 1, not 0"),
    ({"eval_episodes": -1}, "eval_episodes must be at least 1, not -1"),
    ({"minibatch": 13}, "minibatch 13 does not divide the 48 rows of an update"),
    ({"rules": Rules(reference=2.0)}, r"rules\.reference must lie in 0 \.\. 1, not 2\.0"),
    ({"discriminated": 0}, r"discriminated must lie in 1 \.\. 16, the smaller of minibatch"),
    ({"discriminated": 17}, r"discriminated must lie in 1 \.\. 16, .* not 17"),
    ({"demonstrations": 4}, r"discriminated must lie in 1 \.\. 4"),
    ({"replay": 47}, "replay must hold the 48 windows of an update, not 47"),
    ({"kept": 49}, r"kept must lie in 0 \.\. 48, not 49"),
    ({"kept": -1}, r"kept must lie in 0 \.\. 48, not -1"),
    ({"level": "high"}, "the high level needs a task; legal: steering, speed, location"),
    (
        {"level": "high", "task": "location", "networks": Networks(latent=0)},
        "the high level needs a controller with a latent and a discriminator",
    ),
    (
        {"level": "high", "task": "location", "networks": Networks(discriminator=())},
        "the high level needs a controller with a latent and a discriminator",
    ),
    ({"skeleton": "0123456789ab"}, "the run's skeleton is 0123456789ab, the one of this release"),
    ({"motion": "0123456789ab"}, "the run's clips have the digest 0123456789ab, those of this"),
    ({"rules": Rules(window=70)}, r"a window of 70 frames needs 2\.300 s"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[m[:40] for _, m in REFUSED])
def test_settings_of_which_no_program_can_be_made_are_refused(change, message):
    with pytest.raises(UsageError, match=message):
        ase.make(dataclasses.replace(CONFIG, **change), HYPER)


@pytest.mark.parametrize("rules", [{"reference": 0.5}, {"fallen": 0.1}, {"recovery": 0.2}])
def test_following_a_clip_starts_from_clips_alone(rules):
    sound = Rules(**{"reference": 1.0, "fallen": 0.0, "recovery": 0.0} | rules)
    config = dataclasses.replace(CONFIG, body="humanoid", task="follow", rules=sound)
    with pytest.raises(UsageError, match="the task follow needs the humanoid and starts from"):
        config.check()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backend": "bullet"}, "unknown backend 'bullet'; legal: articulated, mjx"),
        ({"task": "strike", "backend": "mjx"}, "backend 'mjx' has no boxes"),
        ({"clips": ("waltz",)}, "no clip or group is called 'waltz'; there are backflip"),
    ],
)
def test_a_humanoid_that_cannot_be_made_is_refused(change, message):
    config = dataclasses.replace(CONFIG, body="humanoid", **change)
    with pytest.raises(UsageError, match=message):
        ase.make_character(config)


def test_skills_of_other_networks_are_refused():
    wide = dataclasses.replace(CONFIG.networks, latent=5)
    skills = ase.Skills(wide, begun().learner.params)
    with pytest.raises(UsageError, match=r"the skills' networks are .*latent=5.*latent=3"):
        ase.make(HIGH, HYPER, skills)
    other = dataclasses.replace(CONFIG.networks, space="gaussian")
    with pytest.raises(UsageError, match=r"the skills' networks are .*gaussian.*sphere"):
        ase.make(HIGH, HYPER, ase.Skills(other, begun().learner.params))


def test_its_own_skeleton_is_accepted():
    config = ase.settled(CONFIG)
    assert (len(config.skeleton), len(config.motion)) == (12, 12)
    ase.make_character(config)
    assert ase.settled(config) == config


@pytest.mark.parametrize("name", ase.PRESETS)
def test_presets_are_sound(name):
    ase.PRESETS[name].config.check()


def test_the_paper_preset_is_the_papers():
    config, hyper, updates = ase.PRESETS["paper"]
    assert config.batch == 131_072
    assert config.batch // config.minibatch * config.epochs == 48
    assert updates * config.frames_per_update == pytest.approx(13.1e9, rel=0.01)
    assert (hyper.learning_rate, hyper.critic_rate, hyper.discriminator_rate) == (2e-5,) * 3
    assert (hyper.discount, hyper.lambda_, hyper.clip, hyper.log_std) == (0.99, 0.95, 0.2, -2.9)
    assert (hyper.task, hyper.style, hyper.skill) == (0, 0.5, 0.5)
    assert config.kept == pytest.approx(0.01 * config.batch, abs=1)


def commanding(skills):
    return ase.make(HIGH, HYPER._replace(task=0.9, style=0.1), skills)


def test_skills_stay_bit_for_bit_what_they_were_while_they_are_commanded():
    low, _ = trained(CONFIG, 6)
    skills = ase.skills_of(CONFIG, low)
    high = commanding(skills)
    begin = high.init(jax.random.key(1))
    run = jax.jit(train(high, 3))
    state, told = run(begin)
    same(state.source.skills, low.learner.params)
    before, after = (jax.tree.leaves(s.learner.params.actor) for s in (begin, state))
    assert any(np.abs(a - b).max() > 1e-5 for a, b in zip(before, after, strict=True))
    # It has no discriminator of its own, and no old windows.
    assert state.learner.params.discriminator == ()
    assert state.learner.replay.windows.size == 0
    assert high.frames_per_update == 3 * system().frames_per_update
    for name in ("style_reward", "task_reward", "loss", "kl"):
        assert np.isfinite(told[name]).all()
    half, _ = jax.jit(train(high, 1))(begin)
    rest, _ = jax.jit(train(high, 2))(half)
    same(rest, state)


def test_both_levels_are_evaluated():
    low, _ = trained(CONFIG, 6)
    high = commanding(ase.skills_of(CONFIG, low))
    for made, state in ((system(), low), (high, high.init(jax.random.key(0)))):
        found = jax.device_get(jax.jit(made.evaluate)(state, jax.random.key(2)))
        assert 0 <= found["normalised_return"] <= 1
        # 20 actions are 7 steps of three on the high level, and an episode ends with its last.
        assert found["length"] == pytest.approx(1.0)
        assert 0 <= found["style_reward"] <= 18.43


def test_in_a_gaussian_space_both_levels_learn_and_nothing_is_projected():
    networks = dataclasses.replace(CONFIG.networks, space="gaussian")
    config = dataclasses.replace(CONFIG, networks=networks)
    low, told = trained(config, 2)
    lengths = np.linalg.norm(low.source.latents.z, axis=1)
    assert lengths.std() > 0.1
    commanding = dataclasses.replace(HIGH, networks=networks)
    high = ase.make(commanding, HYPER, ase.skills_of(config, low))
    state, more = jax.jit(train(high, 2))(high.init(jax.random.key(1)))
    for name in ("loss", "style_reward", "skill_reward", "diversity", "encoder_loss"):
        assert np.isfinite(told[name]).all(), name
    assert np.isfinite(more["loss"]).all()
    assert np.asarray(told["skill_reward"]).max() <= 1
    same(state.source.skills, low.learner.params)
    for made, after in ((system(config), low), (high, state)):
        found = jax.device_get(jax.jit(made.evaluate)(after, jax.random.key(2)))
        assert found["length"] == pytest.approx(1.0)
    # What the high level commands are its means, of any length.
    env = ase.make_character(commanding)
    start = evaluating.starts(env, state.source.world, jax.random.key(3), 4)
    args = (state.learner.params, low.learner.params, state.source.world, start, 3)
    trace = ase.play_high(env, commanding, *args, jax.random.key(4))
    assert np.abs(np.linalg.norm(trace.z, axis=-1) - 1).min() > 1e-3


@pytest.mark.slow
def test_commanding_skills_learns_to_be_where_the_target_is():
    preset = ase.PRESETS["planar"]
    low = ase.make(preset.config, preset.hyper)
    skilled, _ = jax.jit(lambda k: train(low, preset.num_updates)(low.init(k)))(jax.random.key(0))
    config = dataclasses.replace(preset.config, level="high", task="location")
    hyper = preset.hyper._replace(task=0.9, style=0.1)
    high = ase.make(config, hyper, ase.skills_of(preset.config, skilled))
    begin = high.init(jax.random.key(1))
    after, _ = jax.jit(train(high, 150))(begin)
    evaluate = jax.jit(high.evaluate)
    found = [float(evaluate(s, jax.random.key(2))["normalised_return"]) for s in (begin, after)]
    assert found[1] > found[0] + 0.15
    same(after.source.skills, skilled.learner.params)


def test_a_controller_of_one_style_has_no_latent_and_learns():
    config = dataclasses.replace(CONFIG, networks=dataclasses.replace(CONFIG.networks, latent=0))
    state, told = trained(config, 2)
    assert "encoder" not in state.learner.params.discriminator
    assert "diversity" not in told
    assert np.isfinite(told["loss"]).all()
    assert (jnp.asarray(told["skill_reward"]) == 0).all()
