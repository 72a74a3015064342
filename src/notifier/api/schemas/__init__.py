"""The shapes of requests and answers: Create, Update (unset is not null), Read (no defaults)."""
