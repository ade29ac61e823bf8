"""A package of somebody else, that adds one thing of each kind by entry points alone."""
