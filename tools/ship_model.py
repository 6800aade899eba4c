"""Put a run's model folder into the package, in the format and sizes that ship.

    python -m tools.ship_model RUN/model [--to idvid/weights/mini]

Parts that the run did not train are kept as they are. A student (`transformer_few`) belongs to one
teacher: if the run brings another transformer and no student, the old student goes. Refuses to write
a file over 9.5 MB.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from idvid.models.checkpoint import (
    PART_CLASSES,
    PHOTO_PARTS,
    STUDENT,
    BundledModel,
    load_part,
    save_bundled,
)

LIMIT_BYTES = 9_500_000


def main() -> None:
    """Copy, then check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--to", type=Path, default=Path("idvid/weights/mini"))
    arguments = parser.parse_args()
    ship(arguments.model, arguments.to)
    files = [path for path in arguments.to.rglob("*") if path.is_file()]
    large = [path.name for path in files if path.stat().st_size > LIMIT_BYTES]
    if large:
        sys.exit(f"{large[0]} is over {LIMIT_BYTES / 1e6:.1f} MB")
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB")


def ship(new: Path, to: Path) -> None:
    """Write every part from the new folder if it is there, else keep the old one."""
    model = assemble(new, to)
    if model.transformer_few is None:
        shutil.rmtree(to / STUDENT, ignore_errors=True)
    save_bundled(model, to)


def assemble(new: Path, old: Path) -> BundledModel:
    """Every part from the new folder if it is there, else from the old one."""
    from transformers import PreTrainedTokenizerFast

    def home(name: str) -> Path:
        return new / name if (new / name).is_dir() else old / name

    parts = {name: load_part(name, home(name)) for name in PART_CLASSES}
    taught = new if (new / "transformer").is_dir() else old  # where the student's teacher is from
    student = (new if (new / STUDENT).is_dir() else taught) / STUDENT
    if student.is_dir():
        parts[STUDENT] = load_part(STUDENT, student)
    for name in PHOTO_PARTS:
        if home(name).is_dir():
            parts[name] = load_part(name, home(name))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(home("tokenizer"))
    return BundledModel(**parts, tokenizer=tokenizer)


if __name__ == "__main__":
    main()
