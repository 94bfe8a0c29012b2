"""Deliver on one machine: a channel is one step, without a queue before it."""
