"""One release's state as data: the same for its page, its stream and ``release show``."""
