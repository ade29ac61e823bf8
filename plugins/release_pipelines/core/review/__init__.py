"""What people look at after a release: its stages, what was expected and what happened, and how it differs from another one."""
