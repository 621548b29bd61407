"""avstream: what is sounding, where, and how sure. See README.md."""

__version__ = "0.1.0"
