"""Connections."""

from tests.receivers import connect

__all__ = ["connect"]
