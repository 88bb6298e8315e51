"""The officer's pages: what was planned and what became of it, for reading only."""
