"""From numbers to figures, for pages and reports. Needs Plotly, which only the dashboard installs."""
