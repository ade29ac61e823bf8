"""Who did what, when and from where: rows that are chained to the one before by their hashes."""
