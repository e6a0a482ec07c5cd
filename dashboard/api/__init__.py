"""The interface for programs, below /api: studies and pictures in, results out, as JSON (FastAPI)."""
