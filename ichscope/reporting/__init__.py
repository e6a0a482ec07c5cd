"""Reports and figures of what was evaluated, counted and monitored."""
