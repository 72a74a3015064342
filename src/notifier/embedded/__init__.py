"""PostgreSQL and Valkey from wheels, for one-command use."""
