"""Where streams come from: each room is a Source (see avstream.run) and knows records and errors only."""
