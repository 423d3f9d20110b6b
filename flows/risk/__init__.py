"""Risk models over CSV files: what ``lungtwin label`` does, as functions."""
