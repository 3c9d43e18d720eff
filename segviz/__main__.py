"""`python -m segviz`."""

from segviz.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
