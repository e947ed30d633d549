"""The server: kernel, API and AIO."""
