"""What we are compared with, run in an environment of its own; arq and the HTTP limit run in ours."""
