"""Zero-shot and fine-tuned score on unseen Atari variants against the size of the network.

python -m experiments.taiga2023.capacity.figure          (seconds; reads results/)
"""

from experiments import publish
from experiments.impala.capacity import figure as arcade
from experiments.taiga2023.capacity.sweep import RESULTS

STUDY = publish.Study("taiga2023/capacity", RESULTS, arcade.draw, arcade.sections, arcade.finding)

if __name__ == "__main__":
    publish.publish(STUDY)
