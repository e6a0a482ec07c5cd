"""The parts of the page Worklist: the list, an open study and its review."""
