"""`python -m resonate_broker` is the program `resonate`."""

from resonate_broker.cli import main

if __name__ == "__main__":
    main()
