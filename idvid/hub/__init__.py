"""A model's name to a folder on this machine; the only user of `huggingface_hub`.

Owns what may come from the Hub and how it gets into the Hub library's own cache. Where the cache
lies and which token is used are that library's settings (HF_HOME, HF_TOKEN, HF_ENDPOINT,
HF_HUB_OFFLINE). Does not know what a model is.
"""

from idvid.hub.catalogue import CATALOGUE, ModelCard, card_of
from idvid.hub.listing import ModelFacts
from idvid.hub.patience import Patience
from idvid.hub.progress import DownloadProgress
from idvid.hub.reasons import size_text
from idvid.hub.reference import ModelRef, parse_ref, split_file
from idvid.hub.snapshot import fetch, local_path, look_up

__all__ = [
    "CATALOGUE",
    "DownloadProgress",
    "ModelCard",
    "ModelFacts",
    "ModelRef",
    "Patience",
    "card_of",
    "fetch",
    "local_path",
    "look_up",
    "parse_ref",
    "size_text",
    "split_file",
]
