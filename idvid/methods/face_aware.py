"""Face-aware attention: the locks, aimed at the faces that are drawn (as Kling 1.6 is told to).

The plan says where faces should be. Half-way through the denoising the faces are looked for on the
predicted frames, and the regions of identity attention move to where they are.
"""

from idvid.methods.method import Method

FACE_AWARE = Method(
    name="face_aware",
    title="Face-aware attention",
    family="face-aware attention",
    summary="As the identity locks, and half-way aims each person's photos at the face that is seen.",
    uses_references=True,
    recent_frames=4,
    distant_frames=0,
    hold_until=1.0,
    look_after=0.5,
)
