"""Encoders, alignments and k side by side on given clips: `avstream compare`."""
