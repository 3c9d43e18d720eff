"""The models on replicas in a Ray cluster; needs the extra `ray`."""
