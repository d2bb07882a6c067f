"""Meltano as a child process: starts it, reads its log, stops it, and sums up its result."""
