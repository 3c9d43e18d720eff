"""Networks: backbones, attention blocks, what joins them, and the tables of models and networks."""
