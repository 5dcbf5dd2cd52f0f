"""Adapters to what answers requests."""
