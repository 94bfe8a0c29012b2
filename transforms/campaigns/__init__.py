"""The campaign language: triggers, journeys, decisions."""
