"""Training of the bundled model: data from seeds, losses, the loop, its four stages."""
