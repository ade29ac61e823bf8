"""Engines of policies, and the folder that policies stand in."""
