"""ASE's low-level learner in plain PyTorch, for `ase.py` to race with.

The same update, written as one writes it there: modules, one fused Adam with a group of parameters
a network, a loop over minibatches, `torch.autograd.grad` with `create_graph` for the gradient
penalty. Weights bear this suite's names, so that they can be copied;
`tests/benchmarks/test_ase.py` holds losses, gradients and a whole update against ours. It keeps no
metrics, which the suite does. All lies on PyTorch's default device.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import harmodt_peer
import jax
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from jaxrl_suite.systems import ase
from jaxrl_suite.systems.ase.acting import Experience
from jaxrl_suite.systems.ase.learner import LearnerState, Rows


def _stack(owner: nn.Module, prefix: str, size: int, units: Sequence[int]) -> nn.Sequential:
    """Linear layers with relus, registered by this suite's names."""
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(zip([size, *units], units, strict=False)):
        layer = nn.Linear(before, after)
        owner.add_module(f"{prefix}_{i}", layer)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers)


class Actor(nn.Module):
    """Mean action."""

    def __init__(self, observation: int, action: int, networks: ase.Networks):
        super().__init__()
        style = _stack(self, "style", networks.latent, networks.style)[:-1]
        torso = _stack(self, "hidden", observation + networks.style[-1], networks.hidden)
        self.mean = nn.Linear(networks.hidden[-1], action)
        # In lists, so that no parameter has a second name.
        self.style, self.torso = [style, nn.Tanh()], [torso]

    def forward(self, observation: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """[B, A]"""
        told = latent
        for layer in self.style:
            told = layer(told)
        return self.mean(self.torso[0](torch.cat([observation, told], dim=-1)))


class Critic(nn.Module):
    """Value."""

    def __init__(self, observation: int, networks: ase.Networks):
        super().__init__()
        self.torso = [_stack(self, "hidden", observation + networks.latent, networks.hidden)]
        self.value = nn.Linear(networks.hidden[-1], 1)

    def forward(self, observation: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """[B]"""
        return self.value(self.torso[0](torch.cat([observation, latent], dim=-1)))[:, 0]


class Discriminator(nn.Module):
    """Logit, and a direction on a shared trunk."""

    def __init__(self, window: int, networks: ase.Networks):
        super().__init__()
        self.torso = [_stack(self, "hidden", window, networks.discriminator)]
        self.logit = nn.Linear(networks.discriminator[-1], 1)
        self.encoder = nn.Linear(networks.discriminator[-1], networks.latent)

    def forward(self, window: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B] and [B, Z]"""
        x = self.torso[0](window)
        return self.logit(x)[:, 0], functional.normalize(self.encoder(x), dim=-1)

    def kernels(self) -> list[torch.Tensor]:
        """Weights without biases and without the encoder's."""
        named = self.named_parameters()
        return [x for name, x in named if name.endswith("weight") and "encoder" not in name]


class Networks(nn.Module):
    """All that learn."""

    def __init__(self, observation: int, action: int, window: int, networks: ase.Networks):
        super().__init__()
        self.actor = Actor(observation, action, networks)
        self.critic = Critic(observation, networks)
        self.discriminator = Discriminator(window, networks)


class Normaliser:
    """Running mean and variance."""

    def __init__(self, of: Any):
        """Goes on from one of this suite's."""
        self.mean, self.variance, self.count = map(tensor, of)

    def seen(self, batch: torch.Tensor) -> None:
        """Takes in [B, ...]."""
        size = batch.shape[0]
        variance, mean = torch.var_mean(batch, dim=0, correction=0)
        total, apart = self.count + size, mean - self.mean
        squares = self.variance * self.count + variance * size
        squares = squares + apart**2 * (self.count * size / total)
        self.mean = self.mean + apart * (size / total)
        self.variance, self.count = squares / total, total

    def __call__(self, x: torch.Tensor, clip: float) -> torch.Tensor:
        """Normalised."""
        return ((x - self.mean) / torch.sqrt(self.variance + 1e-8)).clamp(-clip, clip)


class Windows(NamedTuple):
    """The policy's, old ones and the clips', [D, W] each, normalised."""

    own: torch.Tensor
    old: torch.Tensor
    clips: torch.Tensor


def tensor(x: Any) -> torch.Tensor:
    """Of one of this suite's arrays."""
    return torch.tensor(np.asarray(x))


def experience(played: Experience) -> Experience:
    """With tensors for arrays."""
    return jax.tree.map(tensor, played)


def _mean(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (x * mask).sum() / mask.sum().clamp(min=1.0)


class Learner:
    """The networks, their optimiser, normalisers and the ring of old windows."""

    def __init__(self, config: ase.Config, hyper: ase.Hyper, state: LearnerState):
        """Begins where this suite's learner is."""
        self.config, self.hyper = config, hyper
        params = state.params
        sizes = (params.inputs.mean.shape[0], params.actor["mean"]["bias"].shape[0])
        self.nets = Networks(*sizes, params.windows.mean.shape[0], config.networks)
        parts = ("actor", "critic", "discriminator")
        harmodt_peer.load(self.nets, {name: getattr(params, name) for name in parts})
        rates = (hyper.learning_rate, hyper.critic_rate, hyper.discriminator_rate)
        groups = [
            {"params": list(getattr(self.nets, name).parameters()), "lr": rate}
            for name, rate in zip(parts, rates, strict=True)
        ]
        self.optimiser = torch.optim.Adam(groups, fused=True)
        self.inputs, self.windows = Normaliser(params.inputs), Normaliser(params.windows)
        self.values = Normaliser(params.values)
        self.ring, self.count = tensor(state.replay.windows), int(state.replay.count)

    def update(self, played: Experience) -> None:
        """One: rewards, advantages, all epochs."""
        config = self.config
        rows, clips = self.prepared(played)
        for _ in range(config.epochs):
            for order in torch.randperm(config.batch).split(config.minibatch):
                part = Rows(*(x[order] for x in rows))
                self.optimiser.zero_grad(set_to_none=True)
                other = functional.normalize(torch.randn_like(part.latent), dim=-1)
                self.loss(part, self.drawn(part.window, clips), other).backward()
                self.optimiser.step()
        self.push(rows.window)

    @torch.no_grad()
    def rewards(self, played: Experience) -> torch.Tensor:
        """[T, N]"""
        hyper, latent = self.hyper, played.latent.flatten(0, 1)
        shown = self.windows(played.window.flatten(0, 1), hyper.input_clip)
        logit, guess = self.nets.discriminator(shown)
        style = -2.0 * torch.log((1.0 - torch.sigmoid(logit)).clamp(min=1e-4))
        skill = (guess * latent).sum(-1).clamp(min=0.0)
        earned = (hyper.style * style + hyper.skill * skill).view_as(played.task)
        return hyper.task * played.task + earned

    @torch.no_grad()
    def advantages(self, played: Experience, reward: torch.Tensor) -> torch.Tensor:
        """[T, N]"""
        hyper = self.hyper
        discounts = hyper.discount * (~played.terminated).float()
        delta = reward + discounts * played.next_value - played.value
        factor = discounts * hyper.lambda_ * (~played.ended).float()
        found, after = torch.empty_like(delta), torch.zeros_like(delta[0])
        for t in reversed(range(len(delta))):
            found[t] = after = delta[t] + factor[t] * after
        return found

    @torch.no_grad()
    def prepared(self, played: Experience) -> tuple[Rows, torch.Tensor]:
        """What minibatches are taken from; the normalisers have seen it then."""
        advantage = self.advantages(played, self.rewards(played))
        target = (advantage + played.value).flatten()
        advantage, noisy = advantage.flatten(), played.noisy.flatten()
        mean = _mean(advantage, noisy)
        advantage = (advantage - mean) / torch.sqrt(_mean((advantage - mean) ** 2, noisy) + 1e-8)
        observation, window = played.observation.flatten(0, 1), played.window.flatten(0, 1)
        shown = self.inputs(observation, self.hyper.input_clip)
        self.inputs.seen(observation)
        self.values.seen(played.value.flatten())
        self.values.seen(target)
        self.windows.seen(window[: len(played.clips)])
        self.windows.seen(played.clips)
        rows = Rows(
            shown,
            played.latent.flatten(0, 1),
            played.action.flatten(0, 1),
            played.log_prob.flatten(),
            noisy,
            advantage,
            (target - self.values.mean) / torch.sqrt(self.values.variance),
            window,
        )
        return rows, played.clips

    def drawn(self, own: torch.Tensor, clips: torch.Tensor) -> Windows:
        """For a minibatch whose windows are `own`."""
        config, clip = self.config, self.hyper.input_clip
        own, there = own[: config.discriminated], min(self.count, config.replay)
        old = self.ring[torch.randint(there, (len(own),))] if there else own
        some = clips[torch.randint(len(clips), (len(own),))]
        return Windows(*(self.windows(x, clip) for x in (own, old, some)))

    def loss(self, rows: Rows, windows: Windows, other: torch.Tensor) -> torch.Tensor:
        """Of a minibatch; `other` are the diversity loss's latents [B, Z]."""
        hyper, nets, noisy = self.hyper, self.nets, rows.noisy
        mean = nets.actor(rows.observation, rows.latent)
        spread = torch.full_like(mean, float(np.exp(hyper.log_std)))
        policy = torch.distributions.Normal(mean, spread, validate_args=False)
        change = policy.log_prob(rows.action).sum(-1) - rows.log_prob
        ratio = torch.where(noisy > 0, change, 0.0).exp()
        bounded = ratio.clamp(1.0 - hyper.clip, 1.0 + hyper.clip)
        surrogate = -torch.minimum(ratio * rows.advantage, bounded * rows.advantage)
        value = nets.critic(rows.observation, rows.latent)
        bound = ((mean.abs() - 1.0).clamp(min=0.0) ** 2).sum(-1)
        acts = (mean.clamp(-1.0, 1.0) - nets.actor(rows.observation, other).clamp(-1.0, 1.0)) ** 2
        apart = 0.5 - 0.5 * (rows.latent * other).sum(-1)
        diversity = (1.0 - acts.mean(-1) / (apart + 1e-5)) ** 2
        total = _mean(surrogate + hyper.bound * bound + hyper.diversity * diversity, noisy)
        total = total + 5.0 * functional.mse_loss(value, rows.target)
        latent = rows.latent[: self.config.discriminated]
        return total + 5.0 * self.discriminator_loss(windows, latent)

    def discriminator_loss(self, windows: Windows, latent: torch.Tensor) -> torch.Tensor:
        """Cross entropy, penalties, and the encoder's."""
        hyper, judge = self.hyper, self.nets.discriminator
        clips = windows.clips.detach().requires_grad_()
        fake, guess = judge(torch.cat([windows.own, windows.old]))
        real, _ = judge(clips)
        entropy = 0.5 * (functional.softplus(fake).mean() + functional.softplus(-real).mean())
        (slope,) = torch.autograd.grad(real.sum(), clips, create_graph=True)
        penalty = (slope**2).sum(-1).mean()
        squares = sum((kernel**2).sum() for kernel in judge.kernels())
        regular = hyper.logit_weight * (judge.logit.weight**2).sum() + hyper.decay * squares
        encoder = -(guess[: len(latent)] * latent).sum(-1).mean()
        return entropy + hyper.gradient_penalty * penalty + regular + hyper.encoder * encoder

    @torch.no_grad()
    def push(self, windows: torch.Tensor) -> None:
        """Into the ring: all while there is room, then so many of them."""
        size, count = self.config.replay, len(windows)
        writes = self.config.kept if self.count >= size else count
        place = (self.count + torch.arange(writes)) % size
        self.ring[place] = windows[torch.randperm(count)[:writes]]
        self.count += writes
