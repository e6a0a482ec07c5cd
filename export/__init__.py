"""From a training run to a model folder that the dashboard may load."""
