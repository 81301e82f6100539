"""What the sentinel decides, as pure functions: no I/O, no clock, nothing remembered between calls."""
