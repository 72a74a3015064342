"""The only layer that writes SQL. Every query is scoped by project; only `engine` commits."""
