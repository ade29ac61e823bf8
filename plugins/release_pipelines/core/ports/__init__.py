"""What a release needs from outside, and what others may add: one module a kind, with its protocol and its seam."""
