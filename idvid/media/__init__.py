"""Pictures and video in and out. Owns every byte format; knows no face, no model and no page."""
