"""Operators of stages of a team's own."""
