"""What users hold: the client, handles, promises; and the thread that serves them."""
