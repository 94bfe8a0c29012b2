"""What people and programs read of a store: users, segments, campaigns, sends, dead letters, inboxes.

A view reads a `Reader` and gives values that JSON can say, a page at a time: limits and cursors come from outside and
are checked there. Nothing here prints, and nothing here writes.
"""
