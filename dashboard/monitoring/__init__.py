"""The parts of the page Monitoring."""
