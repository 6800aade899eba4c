"""The baseline: the prompt alone, windows joined by a few frames."""

from idvid.methods.method import Method

NONE = Method(
    name="none",
    title="Prompt only",
    family="baseline",
    summary="Reads the prompt and never the photos; each window continues the last few frames.",
    uses_references=False,
    recent_frames=4,
    distant_frames=0,
)
