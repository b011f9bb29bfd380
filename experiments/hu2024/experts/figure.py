"""Figure and numbers of the experts, from the results alone.

python -m experiments.hu2024.experts.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from experiments import publish
from experiments.hu2024.experts.sweep import RESULTS
from experiments.publish import Row, values
from jaxrl_suite.envs.metaworld import MT5, MT30
from jaxrl_suite.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Numbers(NamedTuple):
    """What ten episodes of a task gave; :data:`REFERENCE` is not ours.

    any, final: share of the episodes that succeed at any step, and at the last.
    mean, sd: of the return.
    first: median first step with success.
    """

    any: float
    final: float
    mean: float
    sd: float
    first: float


# Not measured here: what the authors of this project's specification (specs/harmodt.md, section 8)
# measured with the same experts, 10 episodes a task, EnvPool 1.2.7; other seeds.
WHO = "specification, 1.2.7"
REFERENCE = {
    "basketball": Numbers(1.0, 1.0, 4141, 218, 98),
    "bin-picking": Numbers(1.0, 1.0, 3948, 164, 120),
    "button-press-topdown": Numbers(1.0, 1.0, 3639, 302, 65),
    "button-press": Numbers(1.0, 1.0, 509, 15, 60),
    "button-press-wall": Numbers(1.0, 0.0, 3091, 20, 66),
    "coffee-button": Numbers(1.0, 0.0, 508, 18, 35),
    "coffee-pull": Numbers(1.0, 1.0, 4195, 40, 90),
    "coffee-push": Numbers(1.0, 0.4, 2291, 1774, 58),
    "dial-turn": Numbers(1.0, 1.0, 4076, 88, 71),
    "disassemble": Numbers(1.0, 1.0, 3833, 431, 124),
    "door-close": Numbers(1.0, 1.0, 4473, 46, 66),
    "door-lock": Numbers(1.0, 0.9, 4176, 52, 118),
    "door-open": Numbers(0.9, 0.9, 4210, 773, 83),
    "door-unlock": Numbers(1.0, 0.1, 3677, 197, 44),
    "hand-insert": Numbers(1.0, 0.8, 4156, 864, 58),
    "drawer-close": Numbers(1.0, 1.0, 4266, 23, 78),
    "drawer-open": Numbers(1.0, 1.0, 4069, 33, 91),
    "faucet-open": Numbers(1.0, 0.9, 4125, 116, 60),
    "faucet-close": Numbers(1.0, 0.8, 3952, 346, 64),
    "handle-press-side": Numbers(1.0, 0.0, 1140, 84, 44),
    "handle-press": Numbers(1.0, 0.0, 1340, 42, 36),
    "handle-pull-side": Numbers(1.0, 0.1, 2923, 157, 74),
    "handle-pull": Numbers(1.0, 1.0, 3991, 140, 104),
    "lever-pull": Numbers(1.0, 0.1, 764, 475, 77),
    "peg-insert-side": Numbers(0.8, 0.5, 3467, 1626, 89),
    "pick-place-wall": Numbers(1.0, 0.9, 3913, 1115, 92),
    "pick-out-of-hole": Numbers(1.0, 1.0, 3893, 53, 114),
    "reach": Numbers(1.0, 1.0, 4853, 14, 41),
    "push-back": Numbers(1.0, 0.0, 811, 565, 131),
    "push": Numbers(1.0, 1.0, 4576, 33, 60),
    "pick-place": Numbers(1.0, 1.0, 4525, 38, 52),
    "plate-slide": Numbers(1.0, 1.0, 4576, 113, 50),
    "plate-slide-side": Numbers(1.0, 0.1, 3552, 482, 46),
    "plate-slide-back": Numbers(1.0, 0.0, 1098, 53, 50),
    "plate-slide-back-side": Numbers(1.0, 0.0, 1419, 858, 48),
    "soccer": Numbers(0.9, 0.9, 3264, 989, 86),
    "push-wall": Numbers(1.0, 1.0, 4433, 34, 82),
    "shelf-place": Numbers(1.0, 0.1, 2557, 579, 88),
    "sweep-into": Numbers(1.0, 0.5, 3082, 1452, 56),
    "sweep": Numbers(1.0, 1.0, 4366, 60, 87),
    "window-open": Numbers(1.0, 1.0, 2258, 385, 87),
    "window-close": Numbers(1.0, 1.0, 3571, 120, 80),
    "assembly": Numbers(1.0, 1.0, 4320, 30, 88),
    "button-press-topdown-wall": Numbers(1.0, 1.0, 2132, 17, 57),
    "hammer": Numbers(1.0, 1.0, 3461, 985, 66),
    "peg-unplug-side": Numbers(1.0, 0.0, 1198, 306, 105),
    "reach-wall": Numbers(1.0, 1.0, 4781, 44, 48),
    "stick-push": Numbers(1.0, 0.0, 797, 24, 34),
    "stick-pull": Numbers(0.8, 0.2, 532, 282, 110),
    "box-close": Numbers(0.9, 0.6, 2914, 1401, 111),
}


def measured(row: Row) -> Numbers:
    """The same of our episodes; the first success is that of the episodes that had one."""
    first = [t for t in row["first_success"] if t is not None]
    return Numbers(
        any=len(first) / len(row["first_success"]),
        final=float(np.mean(row["final"])),
        mean=float(np.mean(row["return"])),
        sd=float(np.std(row["return"], ddof=1)),
        first=float(np.median(first)) if first else np.nan,
    )


def by_release(rows: Sequence[Row]) -> dict[str, dict[str, Numbers]]:
    """Release of EnvPool -> task -> numbers, the oldest first."""
    found = {release: {} for release in sorted(values(rows, "envpool"))}
    for row in rows:
        found[row["envpool"]][row["task"]] = measured(row)
    return found


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Success, return and first success of every task, ours beside the reference."""
    with style.house():
        from matplotlib import pyplot

        figure, axes = pyplot.subplots(1, 4, figsize=(12, 12), sharey=True)
        tasks = values(rows, "task")
        releases = by_release(rows)
        sides = {f"EnvPool {name}": found for name, found in releases.items()} | {WHO: REFERENCE}
        shifts = np.linspace(-0.25, 0.25, len(sides))
        for look, shift, (who, found) in zip(
            style.looks(list(sides)), shifts, sides.items(), strict=True
        ):
            numbers = [found[task] for task in tasks]
            column = {
                name: np.array([getattr(x, name) for x in numbers]) for name in Numbers._fields
            }
            y = np.arange(len(tasks)) + shift
            marks = {"color": look["color"], "ls": "", "ms": 4.5, "marker": "o", "label": who}
            if found is REFERENCE:
                marks["markerfacecolor"] = "white"
            low, high = column["mean"] - column["sd"], column["mean"] + column["sd"]
            axes[2].hlines(y, low, high, color=look["color"], lw=1.5, alpha=0.6)
            for ax, name in zip(axes, ("any", "final", "mean", "first"), strict=True):
                ax.plot(column[name], y, **marks)
        titles = ("success at any step", "success at the last step", "return ± sd", "first success")
        for ax, title in zip(axes, titles, strict=True):
            ax.set_title(title, fontsize=9)
            ax.grid(axis="y", alpha=0.3)
        axes[0].set_yticks(range(len(tasks)), tasks)
        axes[0].set_ylim(len(tasks) - 0.4, -0.6)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=len(sides))
        figure.tight_layout(rect=(0, 0.025, 1, 1))
    return {"figure": figure}


def _smallest_set(task: str) -> str:
    return "MT5" if task in MT5 else "MT30" if task in MT30 else "MT50"


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """Every task, our releases one after the other, the reference in brackets."""
    releases = by_release(rows)
    forms = {
        "success, any step": lambda x: f"{x.any:.1f}",
        "last step": lambda x: f"{x.final:.1f}",
        "return": lambda x: f"{x.mean:.0f} ± {x.sd:.0f}",
        "first success": lambda x: "never" if np.isnan(x.first) else f"{x.first:.0f}",
    }
    body = [
        [
            task,
            _smallest_set(task),
            *(
                f"{', '.join(form(found[task]) for found in releases.values())} "
                f"({form(REFERENCE[task])})"
                for form in forms.values()
            ),
        ]
        for task in values(rows, "task")
    ]
    of = f"{', '.join(releases)} (specification)"
    return {"releases": of, "numbers": publish.table(["task", "smallest set", *forms], body)}


def finding(rows: Sequence[Row]) -> str:
    """Means over the tasks."""
    tasks, releases = values(rows, "task"), by_release(rows)
    mean = lambda found, name: np.mean([getattr(found[task], name) for task in tasks])  # noqa: E731
    each = []
    for release, found in releases.items():
        never = [task for task in tasks if found[task].any == 0]
        each.append(
            f"EnvPool {release}: {mean(found, 'any'):.3f} at any step, {mean(found, 'final'):.3f} "
            f"at the last{', never ' + ', '.join(never) if never else ''}"
        )
    return (
        f"Success of {len(tasks)} noise-free experts, 10 episodes each. {'; '.join(each)}; "
        f"specification: {mean(REFERENCE, 'any'):.3f} and {mean(REFERENCE, 'final'):.3f}"
    )


STUDY = publish.Study("hu2024/experts", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
