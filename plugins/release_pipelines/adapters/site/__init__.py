"""Looks at a running app from outside, by the address where its traffic enters."""
