"""One participant: runs to responses, layers, preference, weights, files."""
