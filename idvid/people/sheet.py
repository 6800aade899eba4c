"""Pictures on disk: portraits of people from consecutive seeds, and one sheet of them all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from idvid.errors import InputError
from idvid.people.captions import describe_person
from idvid.people.person import build_person
from idvid.people.portrait import render_portrait
from idvid.people.sampling import sample_person
from idvid.people.seeds import check_seed

MAX_COUNT, COLUMNS = 1000, 6


def write_people(seed: int, count: int, out_dir: Path | str) -> list[Path]:
    """Write portraits of `count` people from consecutive seeds, a sheet and their descriptions.

    Args:
        seed: the first person's.
        count: 1..1000.
        out_dir: made if missing; gets `person_SEED.png`, `sheet.png`, `people.txt`.

    Returns:
        The written files.

    Raises:
        InputError: a count outside its range.
        SeedError: a seed outside 0..999,999.
    """
    if not 1 <= count <= MAX_COUNT:
        raise InputError(f"{count} people were asked for; choose 1 to {MAX_COUNT}.")
    check_seed(seed)
    check_seed(seed + count - 1)
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    images, lines, written = [], [], []
    for number in range(seed, seed + count):
        spec = sample_person(number)
        images.append(render_portrait(build_person(spec), number).image)
        lines.append(f"{number}: {describe_person(spec)}")
        written.append(folder / f"person_{number:06d}.png")
        Image.fromarray(images[-1]).save(written[-1])
    sheet, text = folder / "sheet.png", folder / "people.txt"
    Image.fromarray(contact_sheet(images)).save(sheet)
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [*written, sheet, text]


def contact_sheet(images: list[np.ndarray]) -> np.ndarray:
    """Equal pictures (H, W, 3) in rows of at most COLUMNS, white where there is none."""
    columns = min(COLUMNS, len(images))
    blank = np.full_like(images[0], 255)
    padded = images + [blank] * (-len(images) % columns)
    rows = [np.concatenate(padded[i : i + columns], 1) for i in range(0, len(padded), columns)]
    return np.concatenate(rows, 0)
