"""Figures of Hu et al. 2024 (HarmoDT): Meta-World's tasks with one masked network."""
