"""The tasks of a train."""
