"""The report's figures, as Plotly JSON and as files."""
