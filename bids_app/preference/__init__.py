"""Layer preference from accuracy profiles."""
