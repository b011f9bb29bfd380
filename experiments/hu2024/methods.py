"""HarmoDT, its variants and its baselines as settings of one system."""

import dataclasses

from jaxrl_suite.systems.harmodt import Config

METHODS = ("HarmoDT-F", "HarmoDT-M", "HarmoDT-R", "Prompt-DT", "MTDT", "MTBC")


def configs(base: Config, num_tasks: int) -> dict[str, Config]:
    """A configuration of every method, with the network and the training of `base`.

    HarmoDT with Fisher importance (F), with the weights' magnitude (M), with masks that stay as
    they began (R); Prompt-DT, told the task by a prompt, without masks; MTDT, told by the task's
    number; MTBC, the same without returns.
    """
    change = dataclasses.replace
    dense = change(base, masks=change(base.masks, kind="none"))
    numbered = change(base.network, condition="task", num_tasks=num_tasks)
    made = (
        base,
        change(base, masks=change(base.masks, importance="magnitude")),
        change(base, masks=change(base.masks, kind="random")),
        dense,
        change(dense, network=numbered),
        change(dense, network=change(numbered, returns=False)),
    )
    return dict(zip(METHODS, made, strict=True))
