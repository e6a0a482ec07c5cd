"""How fast ICHScope is, how much it bears, and how often its intervals hold; README.md says how to measure."""
