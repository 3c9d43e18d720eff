"""Picture files before and while they are decoded: what they may cost, and what their pixels mean."""
