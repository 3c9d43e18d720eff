"""The parts of the server around Streamlit: guard, quotas, routes, metrics and logs."""
