"""Simulated upstreams, labelled as such."""
