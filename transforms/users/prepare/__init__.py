"""From raw messages to the folder that columnar evaluation reads (`segments.columns.layout`)."""
