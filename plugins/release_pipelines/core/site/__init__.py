"""What an app is like from outside: how it bears load, what its answers say, what a person with a screen reader meets. Pure."""
