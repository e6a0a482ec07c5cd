"""Audit: how good a model is, from files of truth and of predictions."""
