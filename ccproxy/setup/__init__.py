"""Setting a machine up: what it has, which models fit it, the files that say so, the models."""
