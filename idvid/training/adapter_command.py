"""`python -m idvid train adapter`: its arguments, and what they start. Imports no torch.

Without `--clips` the rendered shards of the run's folder are trained on; with it a user's own
folder, which `train data --clips` looks at beforehand where several processes will train.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from idvid.errors import InputError

if TYPE_CHECKING:
    import argparse

    from idvid.models.face_backbone import FaceBackbone
    from idvid.training.adapter import AdapterSettings
    from idvid.training.adapter_data import ClipSource

_BACKBONE = Path(__file__).parents[1] / "weights" / "mini" / "backbone"
_MAX_REFERENCES = 3  # photos of each person in one step


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that only the adapter has."""
    parser.add_argument("--base", help="adapter: the Wan2.1 VACE model, a folder or owner/name")
    parser.add_argument(
        "--clips", type=Path, metavar="DIR", help="adapter: your own clips, captions and photos"
    )
    parser.add_argument("--width", type=int, default=832, help="of --clips; default %(default)s")
    parser.add_argument("--height", type=int, default=480, help="of --clips; default %(default)s")
    parser.add_argument(
        "--frames", type=int, default=13, help="adapter: in one step; default %(default)s"
    )


def train(args: argparse.Namespace) -> None:
    """Train identity attention for a public model.

    Raises:
        InputError: a number or the clips are not as they must be.
        ModelError: the base model cannot be used.
    """
    if not args.base:
        raise InputError("The adapter needs a base model; name one with --base.")
    if args.clips is None:
        _refuse_empty(args.out / "shards")
    from idvid.training.adapter import AdapterRun, train_adapter

    backbone = _backbone()
    run = AdapterRun(
        base=args.base,
        clips=_clips(args, backbone),
        folder=args.out / "adapter",
        resume=args.resume,
    )
    train_adapter(run, settings_of(args), backbone)


def settings_of(args: argparse.Namespace) -> AdapterSettings:
    """The adapter's settings with what the arguments change."""
    from idvid.training.adapter import AdapterSettings

    given = {
        "num_steps": args.steps,
        "identity_weight": args.identity_weight,
        "temporal_weight": args.temporal_weight,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    return replace(AdapterSettings(seed=args.seed), **changes)


def look(args: argparse.Namespace) -> None:
    """Find everybody in the user's clips, so that many processes may train on them.

    Raises:
        InputError: the clips are not as they must be.
    """
    _clips(args, _backbone())


def _clips(args: argparse.Namespace, backbone: FaceBackbone) -> ClipSource:
    from idvid.training.adapter_data import ShardClips
    from idvid.training.clip_faces import ClipShape
    from idvid.training.clip_source import open_clips

    shape = ClipShape(width_px=args.width, height_px=args.height, num_frames=args.frames)
    if args.clips is None:
        return ShardClips(
            folder=args.out / "shards", num_frames=args.frames, max_references=_MAX_REFERENCES
        )
    return open_clips(args.clips, backbone, shape, _MAX_REFERENCES, args.out / "clips")


def _refuse_empty(shards: Path) -> None:
    from idvid.training.records import record_names

    if not record_names(shards, "train"):  # one process renders, many may train
        raise InputError(
            "There are no clips yet; give --clips a folder of yours, or run 'train data' with the "
            "same --out first."
        )


def _backbone() -> FaceBackbone:
    """The face network that conditions: the one that ships, frozen."""
    from idvid.models.checkpoint import load_part

    return load_part("backbone", _BACKBONE).eval()
