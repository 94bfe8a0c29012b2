"""Pages that customers see: their words, their templates, and the headers that keep them safe."""
