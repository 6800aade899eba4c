"""What the bundled model is worth, in numbers: quality, claims, following of prompts, speed."""
