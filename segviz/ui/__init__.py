"""The parts of pages; only here, in `pages/` and in `app.py` is Streamlit imported."""
