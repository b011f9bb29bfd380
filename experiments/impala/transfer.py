"""Pretrain on N variants, play unseen ones zero-shot, then fine-tune on them."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from experiments.impala import study
from jaxrl_suite.envs import arcade
from jaxrl_suite.systems.impala import Config, Hyper

NUM_VARIANTS = (1, 2, 4, 8, 16)


def transfer_rows(
    config: Config,
    hyper: Hyper,
    *,
    num_variants: int,
    num_seeds: int,
    pretrain_updates: int,
    finetune_updates: int,
) -> Iterator[dict[str, Any]]:
    """One row a seed: returns on the unseen variants before and after fine-tuning.

    All unseen variants are fine-tuned on together, by one agent, as in pretraining. With
    num_variants 0 there is no pretraining: the agent learns the unseen variants from scratch.
    `finetuned_reset` starts from the same torso with fresh heads.

    Args:
      config: network, game and split; the same batch for every N, hence the same frames.
      hyper: numbers of the learning rule.
      num_variants: N, a prefix of the split's training variants.
      num_seeds: runs side by side.
      pretrain_updates: updates before.
      finetune_updates: updates after.
    """
    seeds = study.keys(num_seeds)
    unseen = arcade.load_split(config.game, config.split).unseen
    on_unseen = dataclasses.replace(config, subset="unseen", num_variants=0)
    fields: dict[str, Any] = {}
    params = None
    if num_variants:
        pretraining = dataclasses.replace(config, subset="train", num_variants=num_variants)
        params = study.train_runs(pretraining, hyper, pretrain_updates, seeds).state.learner.params
        fields["seen"] = study.returns(pretraining, pretraining.variants, params, 1)
        fields["zero_shot"] = study.returns(pretraining, unseen, params, 2)
        ablation = study.train_runs(
            on_unseen, hyper, finetune_updates, seeds, params=params, reset_heads=True
        )
        fields["finetuned_reset"] = study.returns(
            on_unseen, unseen, ablation.state.learner.params, 3
        )
    tuned = study.train_runs(on_unseen, hyper, finetune_updates, seeds, params=params)
    fields["finetuned"] = study.returns(on_unseen, unseen, tuned.state.learner.params, 3)
    curve = tuned.metrics["return"]
    for seed in range(num_seeds):
        yield {
            "num_variants": num_variants,
            "seed": seed,
            **{name: values[seed].tolist() for name, values in fields.items()},
            "finetuning_curve": [round(float(x), 3) for x in curve[seed, ::5]],
        }
