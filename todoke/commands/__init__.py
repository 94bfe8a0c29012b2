"""The commands with their flags: a module for each heading of `todoke --help`. Other files do the work."""
