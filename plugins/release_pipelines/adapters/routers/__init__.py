"""Routers: one module each, called as people write it in their files; each has its ``ROUTER``."""
