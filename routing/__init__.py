"""Pure routing decisions: data in, a plan out. No I/O, no clock, no framework."""
