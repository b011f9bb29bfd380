"""Numbers of the servos, from their results alone.

python -m experiments.peng2022.servos.figure
"""

from collections.abc import Sequence

from experiments import publish
from experiments.peng2022.servos.sweep import RESULTS
from experiments.publish import Row


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a solver."""
    body = [
        [
            row["solver"],
            f"{row['envs']} x {row['actions']:,}",
            f"{row['diverged']}",
            f"{row['dropped_contacts']}",
            f"{row['largest_rate']:.1f}",
            f"{100 * row['penetration_99']:.1f}",
            f"{100 * row['penetration_max']:.1f}",
        ]
        for row in rows
    ]
    head = ["solver", "actions", "not finite", "contacts without room", "largest rate (m/s, rad/s)"]
    head += ["penetration, 99% (cm)", "deepest (cm)"]
    return {"numbers": publish.table(head, body)}


def finding(rows: Sequence[Row]) -> str:
    """What was not finite, and how deep."""
    (row,) = rows
    return (
        f"{row['envs']} humanoids x {row['actions']:,} random actions: {row['diverged']} states "
        f"not finite, {row['dropped_contacts']} contacts dropped, in the ground by at most "
        f"{100 * row['penetration_max']:.1f} cm, 99% by {100 * row['penetration_99']:.1f} cm"
    )


STUDY = publish.Study("peng2022/servos", RESULTS, lambda rows: {}, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
