"""HarmoDT's settings, one at a time."""
