"""What the service costs, measured: each file is a script; `make bench` runs them all."""
