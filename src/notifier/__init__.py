"""notifier: recurring notifications, delivered when due and accounted for."""

__version__ = "0.1.0"
