"""The page and the API; a skin over the models."""
