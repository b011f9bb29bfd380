"""IMPALA: the figures of the multi-task pretraining study."""
