"""Telling people of trouble: what is worth telling, and the ways to them."""
