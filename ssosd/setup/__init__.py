"""What is installed once: the set-up files and the service."""
