"""The commands with their flags: one module a heading of `todoke --help`. What they do stands in a file of its own."""
