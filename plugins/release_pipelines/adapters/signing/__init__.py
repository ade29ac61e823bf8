"""Keys that sign and verify, and what hangs on an image in a registry."""
