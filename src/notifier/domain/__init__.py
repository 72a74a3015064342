"""What notifications, schedules and deliveries are: pure, no I/O, no clock."""
