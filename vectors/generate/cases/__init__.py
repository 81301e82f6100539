"""One builder per vector file."""
