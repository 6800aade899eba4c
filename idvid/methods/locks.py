"""Identity locks: the references speak at every denoising step (as Gen-4.5 is told to).

While a small model has only a vague idea of the picture the anchors also hold the faces, less and
less with every step; the last step is the model's alone.
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
    hold_until=1.0,
)
