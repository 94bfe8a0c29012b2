"""What one process puts aside while it works: sorted on disk, and gone with the process."""
