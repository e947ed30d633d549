"""Values and errors as they are stored."""
