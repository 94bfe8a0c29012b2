"""The rows of users that a live job has not met yet, read ahead in batches."""
