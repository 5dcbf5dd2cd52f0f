"""One file per step, named by its version; a released step is never edited."""
