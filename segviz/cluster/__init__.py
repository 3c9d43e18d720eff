"""The app's part in a Ray cluster: a bridge process, and the replicas that it starts; nothing here imports torch."""
