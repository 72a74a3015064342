"""What runs without a user: plan what is due, send it, rescue what is stuck."""
