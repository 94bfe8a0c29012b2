"""`python -m todoke`."""

from todoke.cli import main

main()
