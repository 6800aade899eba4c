"""Keyframe anchoring: a checked frame at the end of every window first (as Veo 3 is told to).

A keyframe that the conditioning face network does not take for the photos' people is drawn again.
The frames between are made with clean frames on both sides.
"""

from idvid.methods.method import Keyframes, Method

CHECKED = Keyframes(draws=3, accept=0.4, reads_between=True)
KEYFRAMES = Method(
    name="keyframes",
    title="Keyframes",
    family="keyframe anchoring",
    summary="Makes the last frame of every second first, checks it against the photos, redraws bad ones.",
    uses_references=True,
    recent_frames=4,
    distant_frames=0,
    hold_until=1.0,
    keyframes=CHECKED,
)
