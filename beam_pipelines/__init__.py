"""One file a launchable job: flags and composition only."""
