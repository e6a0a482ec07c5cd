"""Tables from outside, as CSV and JSON files of truth and of predictions: read, named and imported."""
