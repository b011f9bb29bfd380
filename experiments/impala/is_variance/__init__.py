"""Variance of importance-sampling estimators."""
