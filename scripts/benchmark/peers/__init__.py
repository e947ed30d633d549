"""Other systems, measured in turns with ours. None of their packages is imported by this process."""
