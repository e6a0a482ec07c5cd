"""The hospital's archives: where studies come from, and where results go."""
