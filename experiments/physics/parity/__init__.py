"""How close the physics engine is to MuJoCo's C engine."""
