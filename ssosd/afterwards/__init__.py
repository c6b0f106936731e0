"""What a person asks of a night that is over: its files again, submissions, injection, other programs."""
