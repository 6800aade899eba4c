"""The trained parts of idvid: tensors in, tensors out; no pictures, files or prompts."""
