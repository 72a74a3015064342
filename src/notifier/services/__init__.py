"""What the HTTP edge may ask for. Functions, the context of the request first; none of them commits."""
