"""All of it: locks, checked keyframes, tracked regions and frames from the whole clip so far."""

from idvid.methods.keyframes import CHECKED
from idvid.methods.method import Method

FULL = Method(
    name="full",
    title="All together",
    family="ours",
    summary="Locks, checked keyframes, faces followed, and frames from the whole clip so far in view.",
    uses_references=True,
    recent_frames=4,
    distant_frames=4,
    hold_until=1.0,
    keyframes=CHECKED,
    look_after=0.5,
)
