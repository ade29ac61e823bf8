"""What a push is, from whom it comes, and whether a release begins with it. Pure."""
