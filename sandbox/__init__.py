"""The local stack that `make demo` starts: everything on loopback, everything it keeps in `.sandbox/`."""
