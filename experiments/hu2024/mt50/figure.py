"""Figure and numbers of the MT50 experiment, from its results and those of the experts.

python -m experiments.hu2024.mt50.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.hu2024.experts.figure import by_release
from experiments.hu2024.experts.sweep import RESULTS as EXPERTS
from experiments.hu2024.mt50.sweep import EPISODES, RESULTS, RUNS
from experiments.publish import Row, values
from experiments.results import read_header, read_rows
from jaxrl_suite.report import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def experts(tasks: Sequence[str]) -> np.ndarray:
    """Share of episodes that the experts solve at any step, in the release evaluated with."""
    release = read_header(RESULTS)["settings"]["envpool"]
    found = by_release(read_rows(EXPERTS))[release]
    return np.array([found[task].any for task in tasks])


def _runs(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """By method and context; those that there are."""
    of = lambda m, k: [row for row in rows if (row["method"], row["context"]) == (m, k)]  # noqa: E731
    named = {f"{method}, K = {context}": of(method, context) for method, context, _ in RUNS}
    return {name: found for name, found in named.items() if found}


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Success of every task beside its expert's, the task best learned first."""
    runs, tasks = _runs(rows), values(rows, "task")
    solved = {name: np.array([row["any"][-1] for row in of]) for name, of in runs.items()}
    order = np.argsort(-next(iter(solved.values())), kind="stable")
    series = {name: x[None, order] for name, x in solved.items()}
    series["scripted expert"] = experts(tasks)[None, order]
    drawn = figures.bars(
        [tasks[i] for i in order],
        series,
        x_label=f"share of {EPISODES} episodes solved at any step",
        title="Fifty tasks, one network",
        subtitle="one seed",
    )
    return {"figure": drawn}


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a run; success of every task."""
    settings, body = read_header(RESULTS)["settings"], []
    config = settings["config"]
    updates = {f"{method}, K = {context}": count for method, context, count in settings["runs"]}
    for name, of in _runs(rows).items():
        steps = updates[name] * config["interval"]
        windows = steps * config["batch"] * config["tasks_per_step"]
        seconds = of[0]["seconds"]
        body.append(
            [
                name,
                f"{steps:,}",
                f"{windows:,}",
                f"{seconds:.0f}",
                f"{windows / seconds:,.0f}",
                f"{100 * np.mean([row['any'][-1] for row in of]):.1f}",
                f"{100 * np.mean([row['final'][-1] for row in of]):.1f}",
                str(sum(row["any"][-1] >= 0.8 for row in of)),
                f"{of[0]['harmony'][-1]:.3f}",
            ]
        )
    head = ["run", "steps", "windows", "seconds of training", "windows a second", "solved, %"]
    head += ["at the last step, %", "tasks solved in 8 episodes of 10 or more", "harmony score"]
    tasks = values(rows, "task")
    each = [
        [
            task,
            *(f"{next(r['any'][-1] for r in of if r['task'] == task):.1f}" for of in runs),
            f"{expert:.1f}",
        ]
        for runs in [list(_runs(rows).values())]
        for task, expert in zip(tasks, experts(tasks), strict=True)
    ]
    return {
        "numbers": publish.table(head, body),
        "tasks": publish.table(["task", *_runs(rows), "scripted expert"], each),
    }


def finding(rows: Sequence[Row]) -> str:
    """Success of every run, and what it took."""
    device = read_header(RESULTS)["machine"]["device"].removeprefix("gpu: ")
    each = [
        f"{name}: {100 * np.mean([row['any'][-1] for row in of]):.1f}% of the episodes of 50 "
        f"tasks solved after {of[0]['seconds']:.0f} s of training on one {device}"
        for name, of in _runs(rows).items()
    ]
    return f"{'; '.join(each)}; one seed"


STUDY = publish.Study("hu2024/mt50", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
