"""What the service costs, measured: `make bench` runs all parts, `make bench PART=due` one."""
