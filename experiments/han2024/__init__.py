"""Lifelike agility from motion clips (Han et al. 2024)."""
