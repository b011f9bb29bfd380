"""Games of the newest player of the league against itself, to be looked at: a page, and a film.

python -m experiments.han2024.league.page      (about two minutes; needs EGL or OSMesa)
"""

from pathlib import Path

from experiments.han2024.league import sweep
from jaxrl_suite.cli.commands import seeded_key
from jaxrl_suite.cli.lifelike_films import filmed, record
from jaxrl_suite.report import film, viewer
from jaxrl_suite.runtime.compile_cache import enable_compile_cache

HERE = Path(__file__).parent
SEED, GAMES, SECONDS = 0, 3, 10.0  # a game that goes on is cut off then
FPS = 10.0
# From above, since walls hide what is seen from lower; from one place, which keeps the file small;
# three fit into the width of a README.
SHOT = {"follow": False, "azimuth": 100.0, "elevation": -50.0, "zoom": 1.3}
SHOT |= {"width": 270, "height": 220}


def main() -> None:
    """Writes both."""
    enable_compile_cache()
    player = sweep.player_of("league", SEED)
    recordings = record(player.preset.config, player.state, GAMES, SECONDS, seeded_key(SEED))
    title = "Tag: the newest player of the league against itself"
    print(viewer.write_viewer(HERE / "game.html", title, recordings))
    pictures = filmed(recordings, FPS, columns=GAMES, **SHOT)
    print(film.write_film(pictures, HERE / "game.gif", FPS))


if __name__ == "__main__":
    main()
