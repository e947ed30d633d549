"""Small programs that show one thing each: `python -m resonate_sdk.examples.<name>`."""
