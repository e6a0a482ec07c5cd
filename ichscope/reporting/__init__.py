"""Reports and figures of what was evaluate_pairing, counted and monitored."""
