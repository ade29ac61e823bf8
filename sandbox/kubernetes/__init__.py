"""What the sandbox puts into a cluster."""
