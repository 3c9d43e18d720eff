"""Streamlit glue: the pieces that pages are made of."""
