"""Writes golden/pytorch.json: what the PyTorch peer of the benchmark makes of a small case.

With it the comparison also runs where PyTorch is not installed. To make it again, with
benchmarks/requirements.txt installed and from the root of the repository::

    python -m tests.systems.harmodt.make_golden
"""

import importlib
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl_suite.systems.harmodt.learner import parameter_shapes
from jaxrl_suite.systems.harmodt.weights import flatten, layout
from tests.systems.harmodt.parity import ACTION, CONFIG, HYPER, STATE, STEPS, TASKS, case, told

PATH = Path(__file__).parent / "golden" / "pytorch.json"


def pytorch() -> dict[str, Any]:
    """Actions, losses and steps of the network; the entries that masks exchange."""
    sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
    peer = importlib.import_module("harmodt_peer")
    state, of = case()
    weights = layout(CONFIG.masks, parameter_shapes(CONFIG, STATE, ACTION))
    trees = [weights.unflatten(mask | ~weights.applied) for mask in state.masks]
    masks = [peer.masks(tree) for tree in trees]
    batches = [
        peer.windows(*jax.tree.map(lambda x, i=i: x[i], (of.prompt, of.context)))
        for i in range(TASKS)
    ]
    net = peer.Network(CONFIG.network, STATE, ACTION)
    peer.load(net, state.params)
    actions = net(batches[0])[batches[0].context[4]].detach()
    losses = [net.loss(batch).item() for batch in batches]
    most, weight = CONFIG.masks.most, float(HYPER.importance_weight)
    swapped = []
    for tree, new in zip(trees, peer.update_masks(net, masks, batches, most, weight), strict=True):
        changed = flatten(peer.unload(new, tree)) != flatten(tree)
        swapped.append(np.flatnonzero(changed).tolist())
    optimiser = peer.adamw(net, float(HYPER.learning_rate), float(HYPER.weight_decay))
    for i in range(STEPS):
        turn = i % TASKS
        peer.train_step(net, optimiser, masks[turn], batches[turn], float(HYPER.max_grad_norm))
    moved = peer.unload(dict(net.named_parameters()), state.params)
    return {
        "actions": actions.numpy().tolist(),
        "losses": losses,
        "swapped": swapped,
        "moved": told(state.params, moved),
    }


def main() -> None:
    """Writes the file."""
    PATH.parent.mkdir(exist_ok=True)
    golden = {"torch": version("torch"), **pytorch()}
    PATH.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
