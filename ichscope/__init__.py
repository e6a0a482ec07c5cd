"""ICHScope core: head CT in, haemorrhage results out. For research and quality work, not for diagnosis."""

__version__ = "0.4.0.dev0"
