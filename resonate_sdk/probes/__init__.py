"""The port of a process for Prometheus and for probes; the only package that serves HTTP."""
