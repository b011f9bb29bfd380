"""Variance and bias of the importance-sampling estimators against horizon and lag.

python -m experiments.impala.is_variance.figure      (a few seconds; reads results/variance.jsonl)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.impala.is_variance.sweep import RESULTS
from experiments.publish import Row, select, values
from jaxrl_suite.report import figures, stats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ESTIMATORS = {
    "trajectory": "trajectory",
    "per decision": "per_decision",
    "clipped step": "clipped_step",
    "V-trace": "vtrace",
}
DRAWN_LAGS = (1, 16, 64)


def _geometric(per_seed: np.ndarray) -> stats.Interval:
    """Geometric mean over seeds with Student's t interval of the logarithm."""
    return stats.Interval(*(np.exp(part) for part in stats.mean_interval(np.log(per_seed))))


def _by_horizon(rows: Sequence[Row], field: str, lag: int) -> np.ndarray:
    """[seeds, horizons]."""
    horizons = values(rows, "horizon")
    return np.stack([select(rows, field, lag=lag, horizon=t) for t in horizons], axis=1)


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Variance at three lags, and the bias at the longest."""
    horizons = values(rows, "horizon")
    figure, axes = figures.panels(4, width=4.9, height=3.7)
    variances = {
        lag: {
            label: (horizons, _geometric(_by_horizon(rows, f"{name}_variance", lag)))
            for label, name in ESTIMATORS.items()
        }
        for lag in DRAWN_LAGS
    }
    shown = [y for series in variances.values() for _, y in series.values()]
    for ax, lag in zip(axes, DRAWN_LAGS, strict=False):
        ax.set_yscale("log")
        ax.set_ylim(0.7 * min(y.low.min() for y in shown), 1.4 * max(y.high.max() for y in shown))
        figures.intervals(
            variances[lag],
            x_label="horizon T (steps)",
            y_label="variance given the start state",
            x_scale="log",
            title=f"Variance, policy lag {lag} update{'s' if lag > 1 else ''}",
            subtitle="geometric mean of 5 seeds; whiskers: 95% interval (t, of the log)",
            ax=ax,
        )
    lag = DRAWN_LAGS[-1]
    # Linear within half a return, so that the small and the large biases can both be read.
    axes[3].set_yscale("symlog", linthresh=0.5, linscale=1.5)
    figures.intervals(
        {
            label: (horizons, _by_horizon(rows, f"{name}_bias", lag))
            for label, name in ESTIMATORS.items()
        },
        x_label="horizon T (steps)",
        y_label="mean estimate - pi's own return\n(linear within ±0.5)",
        x_scale="log",
        title=f"Bias, policy lag {lag} updates",
        ax=axes[3],
    )
    ticks = (-4, -2, -1, -0.5, 0, 0.5, 1, 2, 4)
    axes[3].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    return {"figure": figure}


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """Variance and bias at the longest horizon; health of the trajectory weights."""
    lags, longest = sorted(values(rows, "lag")), max(values(rows, "horizon"))

    def at(field: str, lag: int, horizon: int = longest) -> np.ndarray:
        return select(rows, field, lag=lag, horizon=horizon)

    def of_lag(lag: int) -> list[str]:
        variances = [_geometric(at(f"{name}_variance", lag)) for name in ESTIMATORS.values()]
        biases = [stats.mean_interval(at(f"{name}_bias", lag)) for name in ESTIMATORS.values()]
        return [
            str(lag),
            *[publish.bracketed(v, ".3g") for v in variances],
            *[publish.plus_minus(b) for b in biases],
        ]

    head = ["lag", *[f"variance: {e}" for e in ESTIMATORS], *[f"bias: {e}" for e in ESTIMATORS]]

    def weights(lag: int, horizon: int) -> list[str]:
        of = lambda field: at(field, lag, horizon)  # noqa: E731
        return [
            str(lag),
            str(horizon),
            f"{of('kl_per_step').mean():.4f}",
            f"{of('ratio_max').max():.3g}",
            f"{np.median(of('weight_median')):.3g}",
            publish.plus_minus(stats.mean_interval(of("weight_mean"))),
            f"{of('weight_max').max():.3g}",
            f"{100 * of('effective_sample_size').mean():.3g}%",
        ]

    weight_head = [
        "lag",
        "T",
        "KL(mu, pi) a step (nats)",
        "largest one-step ratio",
        "median trajectory weight",
        "mean trajectory weight (exactly: 1)",
        "largest trajectory weight",
        "effective sample size",
    ]
    shown = [(lag, horizon) for lag in lags if lag for horizon in (8, 32, longest)]
    own = [select(rows, "reference", lag=0, horizon=t) for t in (1, longest)]
    near, far, gap = map(stats.mean_interval, (*own, own[0] - own[1]))
    critic = (
        f"pi's own bootstrapped return is {publish.plus_minus(near)} at T = 1, which is nearly the "
        f"critic's value, and {publish.plus_minus(far)} at T = {longest}; the difference is "
        f"{publish.plus_minus(gap)}."
    )
    return {
        "critic": critic,
        "numbers": publish.table(head, [of_lag(lag) for lag in lags]),
        "weights": publish.table(weight_head, [weights(*pair) for pair in shown]),
    }


def finding(rows: Sequence[Row]) -> str:
    """Variance of the trajectory estimator as a multiple of V-trace's, worst case."""
    lag, horizon = max(values(rows, "lag")), max(values(rows, "horizon"))
    at = lambda field: select(rows, field, lag=lag, horizon=horizon)  # noqa: E731
    ratio = _geometric(at("trajectory_variance") / at("vtrace_variance"))
    bias = stats.mean_interval(at("vtrace_bias"))
    share = 100 * at("effective_sample_size").mean()
    return (
        f"At lag {lag} and T = {horizon} the trajectory estimator has "
        f"{publish.bracketed(ratio, '.3g')} times V-trace's variance and an effective sample size "
        f"of {share:.2g}%; V-trace's bias is {publish.plus_minus(bias)}"
    )


STUDY = publish.Study("impala/is_variance", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
