"""Policies: what they ask for, and what follows from their answers. Pure."""
