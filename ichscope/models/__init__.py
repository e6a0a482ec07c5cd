"""The models: their cards, what they run on, and the one registry of those that are loaded."""
