"""placeholder"""
RATE = 1_000.0
