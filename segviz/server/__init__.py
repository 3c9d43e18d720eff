"""What stands around Streamlit in the server: guard, quotas, routes, metrics and logs."""
