"""Settings that hold for every test. No XLA flags but the package's: users run what is tested."""

import hypothesis
import jax

# [T, B] against [B] would broadcast in silence and be wrong in silence.
jax.config.update("jax_numpy_rank_promotion", "raise")

# The same examples on every run and machine; compiling makes any deadline meaningless.
hypothesis.settings.register_profile(
    "suite", derandomize=True, database=None, deadline=None, max_examples=25
)
hypothesis.settings.load_profile("suite")
