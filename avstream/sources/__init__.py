"""Where streams come from: each module is a Source (see sources/base.py) and knows records and errors only."""
