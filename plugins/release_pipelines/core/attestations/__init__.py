"""What is attested of an image: envelopes, statements, provenance, and whether it is what is demanded. Pure."""
