"""The gate: what sees every request and every WebSocket before Streamlit does, and the routes that are no pages."""
