"""Multi-task pretraining on Atari games (Taiga et al. 2023), in small."""
