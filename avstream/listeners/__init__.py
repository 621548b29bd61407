"""Sound -> labels of the vocabulary with their chances. `base.py` is the seam; one file a family behind it."""
