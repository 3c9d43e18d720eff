"""`python -m segviz`."""

from segviz.runtime.interrupts import exit_at_once, handle_signals

if __name__ == "__main__":
    with handle_signals(exit_at_once):
        from segviz.cli.main import main

    raise SystemExit(main())
