"""Networks of other people: Python files and packages, timm, torchvision, transformers, and files of weights."""
