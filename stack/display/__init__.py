"""What an experiment shows of itself in a notebook: tables, and the report's figures."""
