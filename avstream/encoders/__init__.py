"""Encoders, one file a model family: pictures or samples in, vectors out. They never import each other."""
