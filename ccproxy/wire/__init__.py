"""The Messages API without I/O."""
