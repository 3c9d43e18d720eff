"""`python -m segviz`."""

from segviz.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
