"""What we are compared with; run in an environment of its own, `.bench-venv`, but for arq and the HTTP limit."""
