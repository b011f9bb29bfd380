"""Physics: what the engine's settings do to what is learnt in it."""
