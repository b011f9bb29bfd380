"""Everything with side effects: run directories, checkpoints, metrics, the loop, meshes."""
