"""From prompts and photos to the tensors that the video model reads."""
