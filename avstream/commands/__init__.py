"""The commands, a file each: what they take, and how they wire sources, models and sinks. No logic of their own."""
