"""What a train decides: its waves, what goes back in which order, and what it came to. Pure."""
