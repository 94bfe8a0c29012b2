"""Opens and clicks: what is noted of them at once, and the verdict a moment later: a person's, or a machine's."""
