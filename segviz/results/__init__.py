"""What the trained models reached: tables, charts and findings."""
