"""Logs: structured lines, one way to write them."""
