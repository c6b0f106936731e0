"""Light measured where it is known to be: at predicted places, and along trails."""
