"""Masks against their baselines on five manipulation tasks."""
