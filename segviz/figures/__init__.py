"""Pure functions from data to pictures and figures; nothing here knows of pages or files."""
