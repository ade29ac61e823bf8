"""Receivers and connections."""

from tests.receivers import connect, mailbox, receiver

__all__ = ["connect", "mailbox", "receiver"]
