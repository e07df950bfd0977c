"""The clients: one module for each, which imports nothing of the others."""
