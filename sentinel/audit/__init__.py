"""What the sentinel decides, as pure functions: no I/O, no clock, no memory of their own."""
