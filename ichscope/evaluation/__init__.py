"""Evaluation: how good a model is, from truth and model outputs, out of files or the store."""
