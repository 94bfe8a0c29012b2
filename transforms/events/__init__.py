"""What arrives: wire format, decoding, dead letters, arrival time."""
