"""Does the autoencoder keep people recognisable? 24 test people, before and after it, by the judge.

    python -m benchmarks.autoencoder [--model FOLDER]

Renders two clips' worth of frames of each person, encodes and decodes them, and prints how often
the judge finds a face and how often it is nearest to its own person among the 24, in the original
frames and in the reconstructions, with the ratio, and the PSNR.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from idvid.bench.cast import usable_photos
from idvid.bench.settings import PEOPLE_SEED
from idvid.faces.assign import similarity_to_galleries
from idvid.faces.detect import detect_faces
from idvid.faces.embed import load_judge
from idvid.models.checkpoint import load_part
from idvid.people import build_person, render_clip, sample_person, sample_scene
from idvid.pipeline.generate import BUNDLED

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUM_PEOPLE, PHOTOS = 24, 3
FRAMES_PER_CLIP = 4
SCENE_SEED = 957_000
NEAR_PX = 24


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=BUNDLED)
    autoencoder = load_part("autoencoder", parser.parse_args().model / "autoencoder")
    people = [build_person(sample_person(PEOPLE_SEED + i)) for i in range(NUM_PEOPLE)]
    galleries = [gallery(person, index) for index, person in enumerate(people)]
    truth, places = render(people)
    again = reconstruct(autoencoder, truth)
    error = ((truth.astype(np.float64) - again) ** 2).mean()
    before, after = (count(frames, places, galleries) for frames in (truth, again))
    print(f"PSNR {10 * np.log10(255**2 / error):.1f} dB over {len(truth)} frames")
    for name, (found, right) in (("original", before), ("reconstructed", after)):
        share = found / len(places), right / len(places)
        print(f"{name}: found {share[0]:.3f}, nearest to own person among 24 {share[1]:.3f}")
    print(f"ratio of nearest: {after[1] / before[1]:.3f}")


def gallery(person: object, index: int) -> NDArray[np.float32]:
    """Embeddings of a person's portraits."""
    return np.stack([photo.embedding for photo in usable_photos(person, index, PHOTOS)])


def render(people: list) -> tuple[NDArray[np.uint8], list[tuple[int, int, NDArray[np.float32]]]]:
    """Frames (N, H, W, 3) and every face in them: frame, person, middle of the landmarks."""
    frames, places = [], []
    for number in range(NUM_PEOPLE):
        pair = (number, (number + 1) % NUM_PEOPLE)
        scene = sample_scene(SCENE_SEED + number, 2, FRAMES_PER_CLIP, 2.0)
        clip = render_clip(scene, [people[i] for i in pair])
        for frame in range(FRAMES_PER_CLIP):
            for rank, person in enumerate(pair):
                middle = clip.landmarks[rank, frame].mean(0)
                places.append((len(frames), person, middle))
            frames.append(clip.frames[frame])
    return np.stack(frames), places


@torch.inference_mode()
def reconstruct(autoencoder: object, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Through the autoencoder and back."""
    parts = []
    for part in torch.from_numpy(frames).split(8):
        pixels = part.permute(0, 3, 1, 2).float() / 127.5 - 1
        decoded = autoencoder.decode(autoencoder.encode(pixels))
        parts.append(((decoded + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1))
    return torch.cat(parts).numpy()


def count(frames: NDArray[np.uint8], places: list, galleries: list) -> tuple[int, int]:
    """Faces found where they are, and those nearest to their own person."""
    judge = load_judge()
    faces = [detect_faces(frame, 24) for frame in frames]
    found = right = 0
    for frame, person, middle in places:
        near = [f for f in faces[frame] if np.abs(f.landmarks.mean(0) - middle).max() < NEAR_PX]
        if not near:
            continue
        found += 1
        row = similarity_to_galleries(judge.embed([frames[frame]], near[:1]), galleries)[0]
        right += int(row.argmax() == person)
    return found, right


if __name__ == "__main__":
    main()
