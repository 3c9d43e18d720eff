"""Networks: backbones, attention blocks, the skeleton that joins them, and the table of models."""
