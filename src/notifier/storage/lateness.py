"""When it is too late for a try: a first one by the grace of its slot, another one by the next slot."""

TOO_LATE = "(CASE WHEN attempts_made = 0 THEN start_by ELSE expires_at END <= clock_now())"
"""A condition on deliveries, null where it never is too late."""
