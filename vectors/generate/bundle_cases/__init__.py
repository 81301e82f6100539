"""The parts of bundles.json, by the answer that they put to the test."""
