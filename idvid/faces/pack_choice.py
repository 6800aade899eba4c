"""Which judge measures: the bundled one, a face pack that we know by name, or one of the user's.

Owns the known packs, their licences and the law that the judge is not the network that conditions.
A licence belongs to bytes, not to the page they came from: the Hub's AuraFace repository is tagged
Apache-2.0, but its detector is, byte for byte, insightface's non-commercial one. So only AuraFace's
recogniser is fetched, idvid's own detector finds the faces for it, and the licence of whatever was
opened is looked up by the hashes of its files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from idvid.errors import ModelError
from idvid.faces.embed import load_judge
from idvid.faces.pack import InsightFacePack
from idvid.faces.pack_files import (
    CONDITIONER_CANNOT_JUDGE,
    FACE_PX,
    open_pack,
    open_recogniser,
    pack_folder,
)
from idvid.hub import CATALOGUE, local_path, parse_ref

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from idvid.faces.embed import FaceEncoder
    from idvid.hub import ModelCard

BUNDLED = "bundled"
DEFAULT_PACK = "auraface"
_SAME_NETWORK_COSINE = 0.999  # 8-bit weights stay above it, another network far below


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """What a pack's weights may be used for."""

    name: str
    is_commercial: bool  # True only where commercial use is allowed for certain
    notice: str  # a sentence to show before results; "" if nobody needs to be told


APACHE = Licence(name="Apache-2.0", is_commercial=True, notice="")
PUBLIC_DOMAIN = Licence(name="CC0-1.0", is_commercial=True, notice="")  # of the bundled judge
NON_COMMERCIAL = Licence(
    name="insightface, non-commercial research only",
    is_commercial=False,
    notice=(
        "This face pack holds insightface's own weights, which are for non-commercial research "
        "only; use it only if your use is, or choose AuraFace."
    ),
)
UNKNOWN = Licence(
    name="unknown",
    is_commercial=False,
    notice=(
        "idvid does not know these face weights; most are for non-commercial research only, so "
        "read their licence before you use the results."
    ),
)
LICENCES: dict[str, Licence] = {  # by sha256 of an ONNX file
    # AuraFace's glintr100.onnx, not to be taken for insightface's file of the same name
    "a7933ea5330113b01c9b60351d8f4c33003f145d8470ac5f0e52ee2effe25c60": APACHE,
    # buffalo_l's w600k_r50.onnx and antelopev2's glintr100.onnx
    "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43": NON_COMMERCIAL,
    "4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf": NON_COMMERCIAL,
    # the SCRFD detector: det_10g.onnx in buffalo_l, scrfd_10g_bnkps.onnx elsewhere
    "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91": NON_COMMERCIAL,
}


KNOWN_PACKS = {card.key: card for card in CATALOGUE if card.kind == "faces"}


def choose_judge(choice: str = BUNDLED) -> FaceEncoder:
    """The judge that a text names.

    Args:
        choice: "bundled", the name of a known pack, a folder, or owner/name[@revision] on the Hub.

    Raises:
        HubError: The Hub did not give the pack.
        ModelError: The pack lacks a file, is damaged, of another shape, or a conditioner.
    """
    return load_judge() if choice == BUNDLED else load_pack(choice)


def load_pack(choice: str = DEFAULT_PACK) -> InsightFacePack:
    """A face pack; arguments and errors as for `choose_judge`."""
    if choice in KNOWN_PACKS:
        return _load_known(KNOWN_PACKS[choice])
    if Path(choice).is_dir():
        root = Path(choice)
        return InsightFacePack(open_pack(root), pack_folder(root.resolve()).name)
    ref = parse_ref(choice)
    folder = local_path(replace(ref, files=("*.onnx", "*.json")))
    return InsightFacePack(open_pack(folder), choice)


def licence_of(judge: FaceEncoder) -> Licence:
    """The licence of a judge: the strictest of its files'; the bundled one is free (CC0)."""
    if not isinstance(judge, InsightFacePack):
        return PUBLIC_DOMAIN
    return strictest(judge.file_hashes)


def strictest(hashes: Mapping[str, str]) -> Licence:
    """The strictest licence of files given by their sha256 (name -> hash)."""
    found = [LICENCES.get(digest, UNKNOWN) for digest in hashes.values()]
    return next((kind for kind in (NON_COMMERCIAL, UNKNOWN) if kind in found), APACHE)


def refuse_conditioner(judge: FaceEncoder, conditioner: Callable[[Tensor], Tensor]) -> None:
    """Keep the law: who conditions a video never judges it.

    Both networks look at the same two pictures of noise, so that a copy in another format,
    precision or name is still found.

    Args:
        judge: who would measure.
        conditioner: (N, 3, 112, 112) RGB in -1..1 -> (N, E), the backbone that conditions.

    Raises:
        ModelError: They are one network.
    """
    if not isinstance(judge, InsightFacePack):
        return
    random = torch.Generator().manual_seed(0)
    chips = torch.randint(0, 256, (2, 3, FACE_PX, FACE_PX), generator=random) / 255
    with torch.inference_mode():
        conditioned = conditioner(chips * 2 - 1).float().cpu()
    judged = torch.from_numpy(judge.embed_chips(chips))
    if judged.shape != conditioned.shape:
        return
    if bool((torch.cosine_similarity(judged, conditioned) > _SAME_NETWORK_COSINE).all()):
        raise ModelError(CONDITIONER_CANNOT_JUDGE)


def _load_known(card: ModelCard) -> InsightFacePack:
    """A pack of the catalogue: one file is a recogniser alone, two are a detector and it."""
    folder = local_path(card.ref)
    files = [folder / name for name in card.ref.files]
    networks = open_recogniser(files[0]) if len(files) == 1 else open_pack(files[0].parent)
    return InsightFacePack(networks, card.key)
