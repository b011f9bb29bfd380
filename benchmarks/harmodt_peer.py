"""HarmoDT's network, training step and mask update in plain PyTorch, for `harmodt.py` to race with.

Written as one writes it there: a module a block, the fused AdamW, `scaled_dot_product_attention`,
a whole window for every action. Its weights bear this suite's names, so that they can be copied;
`tests/systems/harmodt/test_parity.py` holds actions, losses, steps and swaps against ours. It does
what the released code does in a step, less its mistakes and its detours: batches lie ready as
tensors, nothing is copied that is not masked, heads that no loss reads do not exist. All lies on
PyTorch's default device.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from jaxrl_suite.nets.decision_transformer import TransformerConfig


class Windows(NamedTuple):
    """Prompts and contexts as tensors; each is returns, states, actions, times, valid."""

    prompt: Sequence[torch.Tensor]
    context: Sequence[torch.Tensor]


class Block(nn.Module):
    """Attention and perceptron."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        width, self.heads, self.rate = config.width, config.heads, config.dropout
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp_in, self.mlp_out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """[B, T, width] of [B, T, width], under bool [B, 1, T, T]."""
        batch, length, width = x.shape
        parts = self.attention(self.norm_attention(x)).chunk(3, dim=-1)
        query, key, value = (
            part.view(batch, length, self.heads, -1).transpose(1, 2) for part in parts
        )
        rate = self.rate if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, visible, rate)
        x = x + self.drop(self.projection(mixed.transpose(1, 2).reshape(batch, length, width)))
        hidden = functional.relu(self.mlp_in(self.norm_mlp(x)))
        return x + self.drop(self.mlp_out(hidden))


class Network(nn.Module):
    """A decision transformer with a prompt."""

    def __init__(self, config: TransformerConfig, state_size: int, action_size: int):
        super().__init__()
        self.layers, width = config.layers, config.width
        for prefix in ("embed", "prompt"):
            self.add_module(f"{prefix}_time", nn.Embedding(1000, width))
            for name, size in (("return", 1), ("state", state_size), ("action", action_size)):
                self.add_module(f"{prefix}_{name}", nn.Linear(size, width))
        for i in range(config.layers):
            self.add_module(f"block_{i}", Block(config))
        self.embed_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.predict_action = nn.Linear(width, action_size)
        self.drop = nn.Dropout(config.dropout)

    def _tokens(self, prefix: str, steps: Sequence[torch.Tensor]) -> torch.Tensor:
        returns, states, actions, times, _ = steps
        layer = lambda name: getattr(self, f"{prefix}_{name}")  # noqa: E731
        time = layer("time")(times)
        parts = [layer("return")(returns[..., None]), layer("state")(states)]
        parts.append(layer("action")(actions))
        return torch.stack([part + time for part in parts], dim=2).flatten(1, 2)

    def forward(self, windows: Windows) -> torch.Tensor:
        """Actions [B, K, A]."""
        told = self._tokens("prompt", windows.prompt)
        tokens = self.embed_norm(self._tokens("embed", windows.context))
        x = self.drop(torch.cat([told, tokens], dim=1))
        valid = torch.cat([windows.prompt[4], windows.context[4]], dim=1)
        valid = valid.repeat_interleave(3, dim=1)
        length = x.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        visible = (causal & valid[:, None]) | torch.eye(length, dtype=torch.bool)
        for i in range(self.layers):
            x = getattr(self, f"block_{i}")(x, visible[:, None])
        seen = self.norm(x)[:, told.shape[1] + 1 :: 3]
        return torch.tanh(self.predict_action(seen))

    def loss(self, windows: Windows) -> torch.Tensor:
        """Mean squared error of the actions of valid steps."""
        valid = windows.context[4]
        return functional.mse_loss(self(windows)[valid], windows.context[2][valid])


def _name(path: tuple) -> str:
    """PyTorch's, of a parameter of this suite."""
    *owners, leaf = (str(part.key) for part in path)
    return ".".join([*owners, "bias" if leaf == "bias" else "weight"])


def _turned(path: tuple, x: np.ndarray) -> np.ndarray:
    """Linear layers are transposed there."""
    return x.T if path[-1].key == "kernel" else x


def _named(tree: Any) -> dict[str, torch.Tensor]:
    found = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {_name(path): torch.tensor(_turned(path, np.asarray(x))) for path, x in found}


def load(net: Network, params: Any) -> None:
    """Copies this suite's parameters into the network."""
    net.load_state_dict(_named(params))


def unload(tensors: Mapping[str, torch.Tensor], like: Any) -> Any:
    """Parameters, or masks by name, as the tree they are here; what is missing stays as it is."""

    def one(path: tuple, x: Any) -> Any:
        name = _name(path)
        return _turned(path, tensors[name].detach().cpu().numpy()) if name in tensors else x

    return jax.tree_util.tree_map_with_path(one, like)


def masks(tree: Any) -> dict[str, torch.Tensor]:
    """A task's masks of the trunk by parameter, of the tree that they are here."""
    trunk = lambda name: name.startswith(("block_", "norm."))  # noqa: E731
    return {name: x for name, x in _named(tree).items() if trunk(name)}


def windows(prompt: Any, context: Any) -> Windows:
    """Of :class:`Steps`."""
    tensors = lambda steps: [torch.tensor(np.asarray(x)) for x in steps]  # noqa: E731
    return Windows(tensors(prompt), tensors(context))


def adamw(net: Network, rate: float, decay: float) -> torch.optim.Optimizer:
    """As in the released code."""
    return torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=decay, fused=True)


def _backward(net: Network, mask: dict[str, torch.Tensor], of: Windows) -> dict[str, torch.Tensor]:
    """Masks the weights and leaves the loss's gradient there; returns them as they were."""
    params = dict(net.named_parameters())
    kept = {name: params[name].detach().clone() for name in mask}
    with torch.no_grad():
        for name, x in mask.items():
            params[name].mul_(x)
    net.zero_grad(set_to_none=True)
    net.loss(of).backward()
    return kept


def train_step(
    net: Network,
    optimiser: torch.optim.Optimizer,
    mask: dict[str, torch.Tensor],
    of: Windows,
    most: float,
) -> None:
    """One step of the inner level, the gradient clipped to a norm of at most so much."""
    kept, params = _backward(net, mask, of), dict(net.named_parameters())
    nn.utils.clip_grad_norm_(net.parameters(), most)
    for name, x in mask.items():
        params[name].grad.mul_(x)
    optimiser.step()
    with torch.no_grad():
        for name, x in mask.items():
            params[name].copy_(torch.where(x, params[name], kept[name]))


def _flat(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    return torch.cat([x.flatten() for x in tensors])


def update_masks(
    net: Network,
    given: Sequence[dict[str, torch.Tensor]],
    of: Sequence[Windows],
    count: int,
    importance_weight: float,
) -> list[dict[str, torch.Tensor]]:
    """One step of the upper level; the gradients of masked networks decide what comes back.

    Args:
      net: of all tasks.
      given: a task's masks each.
      of: a task's windows each.
      count: entries that a task swaps.
      importance_weight: lambda.
    """
    masked, back, params = [], [], dict(net.named_parameters())
    for mask, seen in zip(given, of, strict=True):
        kept = _backward(net, mask, seen)
        back.append(_flat(params[name].grad for name in mask))
        masked.append(back[-1] * _flat(mask.values()))
        with torch.no_grad():
            for name, x in kept.items():
                params[name].copy_(x)
    mean, wanted = sum(masked) / len(masked), sum(back) / len(back)
    new = []
    for mask, own, theirs in zip(given, masked, back, strict=True):
        ones = _flat(mask.values())
        harmony = own * mean + importance_weight * own**2
        leaving = torch.where(ones, harmony, torch.inf).topk(count, largest=False).indices
        coming = torch.where(ones, -torch.inf, theirs * wanted).topk(count).indices
        ones[leaving], ones[coming] = False, True
        parts = ones.split([x.numel() for x in mask.values()])
        new.append({n: p.view_as(x) for (n, x), p in zip(mask.items(), parts, strict=True)})
    return new
