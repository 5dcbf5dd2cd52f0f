"""One request's life."""
