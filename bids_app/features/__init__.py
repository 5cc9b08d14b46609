"""Sound to stimulus features."""
