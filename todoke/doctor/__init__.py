"""`todoke doctor`: what an installation lacks, and what to do about it. A module for each place that is looked at."""
