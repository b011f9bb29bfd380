"""HarmoDT at its published size against plain PyTorch: training, update of the masks, evaluation.

5.3 million parameters, context 20 and prompt 5 steps, hence 75 tokens, batch 8; states and actions
of Meta-World's sizes, contents random. The peer is `harmodt_peer.py`, on the same device: on a CPU
on as many threads as there are cores, on a GPU with products in TF32, which is what XLA takes
there. It gets its batches as tensors on the device, while here they are cut out of the data in the
program, and evaluates without masks, while here a task's weights are masked in every call.

training: steps of the inner level, dropout and masks included. Work is a step.
evaluation: actions, one an environment and step. "suite", 10 environments of each of 5 tasks in one
  call, prompts remembered. "suite, one", a single environment. "pytorch", a single environment and
  the whole window, as the released code evaluates; "pytorch, batch", 10 environments of a task.
masks: one update of the masks of 50 tasks, in tasks. "gradients", the gradient of each task's
  masked network and nothing else. "suite, masked recovery" lets those decide what comes back, too,
  as the peer does; "suite" takes the dense network's gradients for it, as is the default: twice as
  many.

  python benchmarks/harmodt.py                # on the CPU, or an NVIDIA GPU if both see one
  python benchmarks/harness.py harmodt        # the table of all committed rows
"""

import dataclasses
import sys

import harness
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrl_suite.data.episodes import Episodes
from jaxrl_suite.systems import harmodt
from jaxrl_suite.systems.harmodt import learner
from jaxrl_suite.systems.harmodt.dataset import sequences
from jaxrl_suite.systems.harmodt.evaluate import make_policy
from jaxrl_suite.systems.harmodt.weights import layout

try:
    import harmodt_peer as peer
    import torch
except ImportError:
    sys.exit("the peer needs PyTorch: pip install -r benchmarks/requirements.txt")

COMPARISONS = ("training", "evaluation", "masks")
BASELINE = {"training": "pytorch", "evaluation": "pytorch", "masks": "gradients"}
STEPS, ENVS, CALLS = 5, 10, 10  # training steps, environments a task, single actions, a call
TASKS = {"training": 5, "evaluation": 5, "masks": 50}
UNITS = {"training": "steps", "evaluation": "environment steps", "masks": "tasks"}


def data_of(config: harmodt.Config, tasks: int, state_size: int = 39) -> harmodt.Dataset:
    """Random trajectories, six of 100 steps a task."""
    generator, rows = np.random.default_rng(0), 600
    made = {
        f"task{i}": Episodes(
            length=np.full(6, 100, np.int32),
            state=generator.normal(size=(rows, state_size)).astype(np.float32),
            action=generator.uniform(-1, 1, (rows, 4)).astype(np.float32),
            reward=generator.uniform(0, 10, rows).astype(np.float32),
            success=np.zeros(rows, bool),
        )
        for i in range(tasks)
    }
    return harmodt.build(config.data, made)


class Case:
    """A learner, its data, and the peer with the same weights."""

    def __init__(self, config: harmodt.Config, tasks: int):
        """Begins both."""
        self.config, self.data = config, data_of(config, tasks)
        sizes = self.data.state_size, self.data.action_size
        self.net = learner.network(config, *sizes)
        shapes = learner.parameter_shapes(config, *sizes)
        self.weights = layout(config.masks, shapes)
        begin = learner.make_learner(config, tasks, *sizes).init
        self.state = jax.jit(begin)(jax.random.key(0), harmodt.Hyper())
        self.torch_net = peer.Network(config.network, *sizes)
        peer.load(self.torch_net, self.state.params)

    def torch_masks(self, task: int) -> dict[str, torch.Tensor]:
        """A task's, as the peer holds them."""
        return peer.masks(self.weights.unflatten(self.state.masks[task]))

    def draw(self, task: jax.Array, key: jax.Array) -> learner.Sequences:
        """A batch of a task."""
        config = self.config
        cut = sequences(config.data, self.data.data, task, key, config.batch)
        return learner.Sequences(task, *cut)

    def torch_batch(self, task: int) -> peer.Windows:
        """One, for the peer."""
        of = jax.jit(self.draw)(jnp.asarray(task), jax.random.key(task))
        return peer.windows(of.prompt, of.context)


def training(config: harmodt.Config) -> dict[str, harness.Candidate]:
    """STEPS steps, tasks in turn."""
    tasks = TASKS["training"]
    case = Case(config, tasks)

    def train(state: learner.LearnerState, key: jax.Array) -> learner.LearnerState:
        def step(state: learner.LearnerState, given: tuple) -> tuple:
            of = jax.tree.map(lambda x: x[None], case.draw(*given))
            return learner.train_step(config, case.net, case.weights, state, of)

        turns = jnp.arange(STEPS) % tasks, jax.random.split(key, STEPS)
        return jax.lax.scan(step, state, turns)[0]

    hyper = harmodt.Hyper()
    optimiser = peer.adamw(case.torch_net, hyper.learning_rate, hyper.weight_decay)
    masks = [case.torch_masks(i) for i in range(tasks)]
    batches = [case.torch_batch(i) for i in range(tasks)]

    def torch_train() -> None:
        case.torch_net.train()
        for i in range(STEPS):
            of, batch = masks[i % tasks], batches[i % tasks]
            peer.train_step(case.torch_net, optimiser, of, batch, hyper.max_grad_norm)
        finish()

    return {
        "suite": harness.Candidate(jax.jit(train), (case.state, jax.random.key(1)), STEPS),
        "pytorch": harness.Candidate(torch_train, (), STEPS),
    }


def acting(config: harmodt.Config, tasks: int, envs: int) -> harness.Candidate:
    """An action in every environment, contexts full; of a single one CALLS, as in an episode."""
    case = Case(config, tasks)
    policy = make_policy(config, case.data)
    steps = policy.begin(envs)
    steps = steps._replace(valid=jnp.ones_like(steps.valid))
    seen = jnp.ones((tasks, envs, case.data.state_size))
    asked = jnp.ones((tasks, envs))
    args = (case.state, policy.remember(case.state), steps, seen, asked, np.int32(50))
    call = jax.jit(lambda *given: policy.act(*given)[0])
    if tasks * envs > 1:
        return harness.Candidate(call, args, tasks * envs)
    ready = call.lower(*args).compile()
    one_by_one = lambda *given: [np.asarray(ready(*given)) for _ in range(CALLS)]  # noqa: E731
    return harness.Candidate(one_by_one, args, CALLS)


def torch_acting(config: harmodt.Config, envs: int) -> harness.Candidate:
    """The peer's last actions of whole windows; of a single one CALLS."""
    case = Case(dataclasses.replace(config, batch=envs), 1)
    batch, calls = case.torch_batch(0), CALLS if envs == 1 else 1

    def act() -> None:
        case.torch_net.eval()
        with torch.inference_mode():
            for _ in range(calls):
                case.torch_net(batch)[:, -1].cpu().numpy()

    return harness.Candidate(act, (), envs * calls)


def evaluation(config: harmodt.Config) -> dict[str, harness.Candidate]:
    """An action in every environment."""
    return {
        "suite": acting(config, TASKS["evaluation"], ENVS),
        "suite, one": acting(config, 1, 1),
        "pytorch": torch_acting(config, 1),
        "pytorch, batch": torch_acting(config, ENVS),
    }


def mask_update(config: harmodt.Config) -> dict[str, harness.Candidate]:
    """Of all tasks, half way through training, where most are swapped."""
    tasks = TASKS["masks"]
    case = Case(config, tasks)
    state = case.state._replace(updates=jnp.asarray(config.updates // 2))
    keys = jax.random.split(jax.random.key(1), tasks)
    upper = jax.jit(jax.vmap(case.draw))(jnp.arange(tasks), keys)

    def gradients(state: learner.LearnerState, upper: learner.Sequences) -> jax.Array:
        def one(of: learner.Sequences) -> jax.Array:
            own = learner.masked(case.weights, state.params, state.masks[of.task])
            return optax.tree.norm(jax.grad(learner.loss, argnums=1)(case.net, own, of, None))

        return jax.lax.map(one, upper)

    def updated(recovery: str) -> harness.Candidate:
        masks = dataclasses.replace(config.masks, recovery=recovery)
        of = dataclasses.replace(config, masks=masks)

        def call(state: learner.LearnerState, upper: learner.Sequences) -> jax.Array:
            return learner.update_masks(of, case.net, case.weights, state, upper)[0].masks

        return harness.Candidate(jax.jit(call), (state, upper), tasks)

    given = [case.torch_masks(i) for i in range(tasks)]
    batches = [case.torch_batch(i) for i in range(tasks)]

    def torch_update() -> None:
        case.torch_net.eval()
        most, weight = config.masks.most, harmodt.Hyper().importance_weight
        peer.update_masks(case.torch_net, given, batches, most, weight)
        finish()

    return {
        "suite": updated("dense"),
        "suite, masked recovery": updated("masked"),
        "gradients": harness.Candidate(jax.jit(gradients), (state, upper), tasks),
        "pytorch": harness.Candidate(torch_update, (), tasks),
    }


def on_one_device() -> None:
    """Puts the peer where this suite runs, or ends the program."""
    backend = jax.default_backend()
    torch.set_num_threads(harness.machine()["cores"])
    if backend == "gpu" and torch.cuda.is_available():
        torch.set_default_device("cuda")
        torch.backends.cuda.matmul.allow_tf32 = True
    elif backend != "cpu":
        sys.exit(
            f"PyTorch finds no {backend}: JAX_PLATFORMS=cpu python benchmarks/harmodt.py "
            "compares on the CPU"
        )


def finish() -> None:
    """Waits for the peer's work."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def main() -> None:
    """Times what is asked for."""
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--comparisons", nargs="+", choices=COMPARISONS, default=list(COMPARISONS))
    args = parser.parse_args()
    config = harmodt.Config()
    if args.smoke:
        small = dataclasses.replace(config.network, layers=2, width=16, heads=2)
        config = dataclasses.replace(config, network=small)
        TASKS["masks"], args.repeats = 3, harness.MIN_REPEATS
    on_one_device()
    makers = {"training": training, "evaluation": evaluation, "masks": mask_update}
    for name in args.comparisons:
        facts = harness.machine() | {"torch": torch.__version__}
        results = harness.compare(makers[name](config), unit=UNITS[name], repeats=args.repeats)
        settings = {"comparison": name, "tasks": TASKS[name], "batch": config.batch}
        harness.report(
            "harmodt",
            results,
            settings=settings,
            facts=facts,
            baseline=BASELINE[name],
            smoke=args.smoke,
        )


if __name__ == "__main__":
    main()
