"""The demo: real orders of one shop, seen as events, through the whole product to servers on this machine."""
