"""Random sequences, a slow oracle for V-trace, and the settings that are compared with rlax."""

import numpy as np

# rlax has no c_bar (it clips the trace at 1), so none here.
RLAX_SETTINGS = [
    {},
    {"lambda_": 0.9},
    {"lambda_": 0.0},
    {"rho_bar": 1.7, "pg_rho_bar": 0.8},
    {"rho_bar": 0.6, "pg_rho_bar": 3.0, "lambda_": 0.95},
    {"alpha": 0.5},
    {"alpha": 0.0, "lambda_": 0.8},
    {"alpha": 0.9, "rho_bar": 1.3, "pg_rho_bar": 2.0, "masked": True},
    {"masked": True},
]


def random_sequence(seed: int, length: int) -> dict[str, np.ndarray]:
    """float32 sequence with about one termination in five steps, ratios on both sides of 1."""
    generator = np.random.default_rng(seed)
    terminated = generator.random(length) < 0.2
    return {
        "values": generator.normal(size=length + 1).astype(np.float32),
        "rewards": generator.normal(size=length).astype(np.float32),
        "discounts": (0.97 * ~terminated).astype(np.float32),
        "ratios": np.exp(0.7 * generator.normal(size=length)).astype(np.float32),
        "sample_mask": generator.random(length) < 0.7,
    }


def double_sum(
    sequence, *, rho_bar=1.0, c_bar=1.0, pg_rho_bar=1.0, lambda_=1.0, alpha=1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Equation 1 of Espeholt et al. 2018 as it stands, in float64; not the recursion."""
    values, rewards, discounts, ratios = (
        np.asarray(sequence[n], np.float64) for n in ("values", "rewards", "discounts", "ratios")
    )
    length = len(rewards)

    def clip(bound):
        return alpha * np.minimum(bound, ratios) + (1 - alpha) * ratios

    rho, trace, pg_rho = clip(rho_bar), lambda_ * clip(c_bar), clip(pg_rho_bar)
    targets = values.copy()
    for s in range(length):
        for t in range(s, length):
            product = 1.0
            for i in range(s, t):
                product *= discounts[i] * trace[i]
            delta = rho[t] * (rewards[t] + discounts[t] * values[t + 1] - values[t])
            targets[s] += product * delta
    advantages = np.zeros(length)
    for t in range(length):
        following = lambda_ * targets[t + 1] + (1 - lambda_) * values[t + 1]
        advantages[t] = pg_rho[t] * (rewards[t] + discounts[t] * following - values[t])
    return targets[:-1], advantages
