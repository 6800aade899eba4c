"""idvid: video in which several people each keep their face, with the proof beside it.

Importing this package loads neither torch, nor diffusers, nor gradio.
"""

__version__ = "0.1.0"
