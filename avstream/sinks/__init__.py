"""Where narrations go: the terminal, caption files, JSON lines, and a rendered movie."""
