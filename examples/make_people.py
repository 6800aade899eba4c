"""Make the six example people, five portraits each, from test seeds."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from idvid.people import build_person, render_portrait, sample_person
from idvid.people.captions import describe_person

PEOPLE = {
    "Ana": 950_054,
    "Ben": 950_041,
    "Chen": 950_077,
    "Dara": 950_049,
    "Eli": 950_069,
    "Fay": 950_048,
}
PORTRAITS = 5


def main(folder: Path) -> None:
    for name, seed in PEOPLE.items():
        spec = sample_person(seed)
        person = build_person(spec)
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(1, PORTRAITS + 1):
            # The first photo is taken from the front, the others as it happens.
            portrait = render_portrait(
                person, 951_000 + 10 * (seed % 100) + number, neutral=number == 1
            )
            Image.fromarray(portrait.image).save(folder / name / f"{number}.png", optimize=True)
        print(f"{name}: {describe_person(spec)}")


if __name__ == "__main__":
    default = Path(__file__).with_name("people")
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
