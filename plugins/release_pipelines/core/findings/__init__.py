"""What findings of scanners amount to: one judgement over all of them. Pure: what is read, fetched and kept is elsewhere."""
