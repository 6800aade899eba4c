"""Identity locks: the references speak at every denoising step (as Gen-4.5 is told to).

In the first steps, where a small model has only a vague idea of the picture, the anchors also hold
the faces in place; the later steps are the model's alone.
"""

from idvid.methods.method import Method

LOCKS = Method(
    name="locks",
    title="Identity locks",
    family="identity injection",
    summary="Reads the photos at every step; each window continues the last few frames.",
    uses_references=True,
    recent_frames=4,
    distant_frames=0,
    hold_until=0.6,
)
