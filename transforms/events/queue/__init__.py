"""The embedded queue: one SQLite file that many processes append calls to, and that one live job reads.

Nothing here imports Beam or opens a store. An HTTP service needs `append.Queue` alone. See
docs/explanation/queue.md.
"""
