"""Long context: more and older frames stay in the window, no references (as Sora 2 is told to)."""

from idvid.methods.method import Method

CONTEXT = Method(
    name="context",
    title="Long context",
    family="long context",
    summary="Never reads the photos; frames from the whole clip so far stay in view.",
    uses_references=False,
    recent_frames=4,
    distant_frames=4,
)
