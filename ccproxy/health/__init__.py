"""What is known about backends, gathered for free."""
