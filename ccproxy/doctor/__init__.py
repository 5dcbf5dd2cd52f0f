"""`ccproxy doctor`: what is wrong with this machine, in words, with the command that fixes it."""
