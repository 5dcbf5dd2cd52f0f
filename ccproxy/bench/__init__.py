"""Benchmarks that compare routes: the same work over each in turn, and what came of it."""
