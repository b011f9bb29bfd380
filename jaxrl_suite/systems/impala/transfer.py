"""Fine-tuning: the parameters of one run as the first parameters of another."""

import jax

from jaxrl_suite.core import SystemState, UsageError

_HEADS = ("policy", "value")


def warm_start(state: SystemState, params: dict, *, reset_heads: bool = False) -> SystemState:
    """A fresh state that starts from pretrained parameters.

    Only the parameters carry over: optimiser, environments, counters and keys are fresh.

    Args:
      state: of ``System.init``, not yet updated.
      params: parameters of another run of the same network and game.
      reset_heads: keep the fresh policy and value heads (an ablation; the default takes all).

    Returns:
      The state to fine-tune from.

    Raises:
      UsageError: the parameters belong to another network; names the first that differs.
    """
    fresh, given = state.learner.params["params"], params["params"]
    if reset_heads:
        given = {**given, **{name: fresh[name] for name in _HEADS}}
    _check_same_network(fresh, given)
    merged = {"params": jax.tree.map(lambda new, old: old.astype(new.dtype), fresh, given)}
    # The source needs no change: its first sample fetches the learner's parameters.
    return state._replace(learner=state.learner._replace(params=merged))


def _check_same_network(fresh: dict, given: dict) -> None:
    shapes = [
        {jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape for path, leaf in flat}
        for flat in (jax.tree_util.tree_leaves_with_path(tree) for tree in (fresh, given))
    ]
    for name in sorted(shapes[0].keys() | shapes[1].keys()):
        ours, theirs = shapes[0].get(name), shapes[1].get(name)
        if ours != theirs:
            raise UsageError(
                f"the pretrained parameters belong to another network: {name} has shape {theirs} "
                f"there and {ours} here; choose the pretraining run's game and network, or "
                "reset_heads where only policy or value differ"
            )
