"""What any daemon needs and no astronomer asks for: files, locks, logs, HTTP, mail, systemd's socket."""
