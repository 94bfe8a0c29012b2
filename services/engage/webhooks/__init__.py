"""What providers tell by webhooks: each has a module that verifies and reads its requests, without a web framework."""
