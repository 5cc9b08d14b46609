"""Music emotion recognition from clips (a program of its own)."""
