"""From a scene to frames: plan, condition, denoise and decode, window by window."""
