"""The house: what docs say of the code is what the code is."""
