"""The video pipeline: a scene and its references in, events with finished frames out.

    prepare -> for each window: plan the faces, condition, denoise, decode

Owns the order of these steps and nothing of how each is done. Yields an event for every denoising
step, so that a caller can stop between any two; memory does not grow with the clip's length.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from transformers import PreTrainedTokenizerFast  # noqa: TC002 - diffusers reads annotations

from idvid import runtime
from idvid.conditioning.text import compile_prompt, unknown_words
from idvid.config import MAX_SEED
from idvid.errors import ModelError
from idvid.hub import local_path
from idvid.models.autoencoder import SPATIAL_FACTOR, FrameAutoencoder
from idvid.models.checkpoint import MATTE, PART_CLASSES, REENACTOR, STUDENT, BundledModel
from idvid.models.face_backbone import FaceBackbone  # noqa: TC001 - diffusers reads annotations
from idvid.models.face_planner import FacePlanner  # noqa: TC001
from idvid.models.head_matte import HeadMatte  # noqa: TC001
from idvid.models.head_reenactor import HeadReenactor  # noqa: TC001
from idvid.models.identity_bank import MultiCharacterIdentityBank  # noqa: TC001
from idvid.models.identity_encoder import IdentityEncoder  # noqa: TC001
from idvid.models.prompt_encoder import PromptEncoder  # noqa: TC001
from idvid.models.video_transformer import VideoTransformer  # noqa: TC001
from idvid.pipeline.backend import (
    HEIGHT_PX,
    MINI,
    MINI_FEW,
    WIDTH_PX,
    checked_method,
    whole_clip,
)
from idvid.pipeline.condition import window_conditions
from idvid.pipeline.decode import decode_frames, to_pixels
from idvid.pipeline.denoise import clip_noise
from idvid.pipeline.frames import Task
from idvid.pipeline.keyframes import make_window, steps_per_window
from idvid.pipeline.plan import PlanRequest, plan_states
from idvid.pipeline.precision import autocast, freeze
from idvid.pipeline.predict import sampler
from idvid.pipeline.prepare import Request, prepare_scene
from idvid.pipeline.windows import (
    FPS,
    History,
    Remembered,
    Window,
    finished_frames,
    frame_times,
    in_view,
    plan_windows,
    remember,
    step_counts,
)
from idvid.types import StepDone, WindowDone

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from torch import Tensor

    from idvid.config import GenerationSettings
    from idvid.faces.quality import ReferenceFace
    from idvid.models.conditions import Conditions
    from idvid.types import Clip, Scene

BUNDLED = Path(__file__).parents[1] / "weights" / "mini"


class IdVidPipeline(DiffusionPipeline):
    """Videos of several people who keep their faces, from the bundled kind of model."""

    _optional_components: ClassVar = [STUDENT, REENACTOR, MATTE]

    def __init__(  # noqa: PLR0913, PLR0917 - diffusers registers components by the names of these arguments
        self,
        autoencoder: FrameAutoencoder,
        backbone: FaceBackbone,
        identity_encoder: IdentityEncoder,
        identity_bank: MultiCharacterIdentityBank,
        prompt_encoder: PromptEncoder,
        transformer: VideoTransformer,
        planner: FacePlanner,
        planner_prompt_encoder: PromptEncoder,
        tokenizer: PreTrainedTokenizerFast,
        transformer_few: VideoTransformer | None = None,
        reenactor: HeadReenactor | None = None,
        matte: HeadMatte | None = None,
    ) -> None:
        super().__init__()
        parts = {name: value for name, value in locals().items() if name in PART_CLASSES}
        parts |= {"tokenizer": tokenizer, STUDENT: transformer_few}
        parts |= {REENACTOR: reenactor, MATTE: matte}
        self.register_modules(**parts)
        self.model = BundledModel(**parts)
        self.backend = MINI if transformer_few is None else MINI_FEW

    @property
    def conditioner(self) -> FaceBackbone:
        """The face network that conditions, which must never judge."""
        return self.model.backbone

    def __call__(
        self,
        scene: Scene,
        references: Sequence[Sequence[ReferenceFace]],
        settings: GenerationSettings,
    ) -> Clip:
        """Generate a whole clip; see `stream`."""
        return whole_clip(self.stream(scene, references, settings))

    def stream(
        self,
        scene: Scene,
        references: Sequence[Sequence[ReferenceFace]],
        settings: GenerationSettings,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[StepDone | WindowDone]:
        """Generate window by window.

        Args:
            scene: prompt, characters, length and seed.
            references: per character, the usable photos with their faces (`check_references`).
            settings: method, strength, steps, guidance.
            cancelled: asked before every step; True ends the stream.

        Yields:
            StepDone after every denoising step, WindowDone with the new frames of every window.

        Raises:
            InputError: no such method, a number of references that is not the characters', or
                guidance for the few-step model.
        """
        request = self.prepare(scene, references, settings)
        history = History()
        for window in plan_windows(scene.seconds):
            view = in_view(history, request.method)
            states = self.plan(request, window, view)
            conditions = self.condition(request, window, view, states)
            latents = yield from self.denoise(request, window, view, conditions, cancelled)
            if latents is None:
                return
            yield self.decode(window, latents)
            laid = conditions.identity and conditions.identity.anchors[0, -window.num_frames :]
            finished = finished_frames(window, latents, states, laid)
            history = remember(history, finished, request.method)

    def prepare(
        self,
        scene: Scene,
        references: Sequence[Sequence[ReferenceFace]],
        settings: GenerationSettings,
    ) -> Request:
        """Encode what every window shares."""
        method = checked_method(self.backend, scene, references, settings)
        sampler(self.model, method, settings)  # refuses before any work
        with torch.inference_mode(), autocast():
            used = references if method.uses_references and settings.identity_strength > 0 else ()
            prepared = prepare_scene(self.model, scene, used, settings.parts)
        generator = torch.Generator().manual_seed(scene.seed)
        channels = self.model.autoencoder.config["latent_channels"]
        rows, columns = HEIGHT_PX // SPATIAL_FACTOR, WIDTH_PX // SPATIAL_FACTOR
        return Request(
            prepared=prepared,
            settings=settings,
            method=method,
            generator=generator,
            redraws=torch.Generator().manual_seed(MAX_SEED + 1 + scene.seed),
            noise=torch.randn(channels, rows, columns, generator=generator),
        )

    def plan(self, request: Request, window: Window, view: tuple[Remembered, ...]) -> Tensor:
        """Planner states (C, T, STATE) of the window's new frames."""
        asked = PlanRequest(
            prompt=request.prepared.plan_prompt,
            slots=request.prepared.slots,
            time_s=frame_times(window, view),
        )
        with torch.inference_mode():
            return plan_states(self.model.planner, asked, view, request.generator)

    def condition(
        self, request: Request, window: Window, view: tuple[Remembered, ...], states: Tensor
    ) -> Conditions:
        """Everything the transformer reads beside the latents, for the frames in view and new."""
        known = [item.state[:, None] for item in view]
        plan = torch.cat([*known, states], dim=1)
        laid = [item.anchors for item in view if item.anchors is not None]
        times = frame_times(window, view)
        with torch.inference_mode(), autocast():
            return window_conditions(self.model, request, times, plan, laid)

    def denoise(
        self,
        request: Request,
        window: Window,
        view: tuple[Remembered, ...],
        conditions: Conditions,
        cancelled: Callable[[], bool],
    ) -> Generator[StepDone, None, Tensor | None]:
        """Make the new frames; returns latents (T, C, h, w), or None if cancelled."""
        noise = clip_noise(request.noise, window.num_frames, request.generator)
        known = [item.latents[None] for item in view]
        finished = torch.cat([torch.zeros(0, *request.noise.shape), *known])[None]
        task = Task(conditions=conditions, finished=finished, noise=noise)
        done, total = step_counts(window, steps_per_window(request))
        steps = make_window(self.model, request, task)
        while not cancelled():
            try:
                with torch.inference_mode(), autocast():
                    done_here = next(steps)
            except StopIteration as end:
                return end.value[0]
            yield StepDone(done=done + done_here, total=total)
        return None

    def decode(self, window: Window, latents: Tensor) -> WindowDone:
        """Latents (T, C, h, w) to frames."""
        with torch.inference_mode(), autocast():
            pictures = decode_frames(self.model.autoencoder, latents)
        return WindowDone(
            first_frame=window.first_frame,
            total_frames=window.total_frames,
            fps=FPS,
            frames=to_pixels(pictures),
        )

    def unknown_words(self, scene: Scene) -> tuple[str, ...]:
        """Words of the scene's prompt and descriptions that the model never learned."""
        return unknown_words(compile_prompt(scene.prompt, scene.characters), self.model.tokenizer)


def load_pipeline(model: str | None = None) -> IdVidPipeline:
    """Load the bundled model, or one of its kind from a folder or the Hub (`owner/name`).

    Raises:
        ModelError: the model is missing or damaged.
        HubError: the Hub did not give it.
    """
    folder = BUNDLED if model is None else local_path(model)
    if not (folder / "model_index.json").is_file():
        message = (
            "No model was found there; name a folder or Hub model that holds model_index.json."
        )
        raise ModelError(message)
    torch.set_num_threads(runtime.num_threads())
    try:
        pipeline = IdVidPipeline.from_pretrained(folder, dtype=torch.float32)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, TypeError) as error:
        message = "The model's files are damaged or of another kind; download the model again."
        raise ModelError(message) from error
    freeze(pipeline.model)
    return pipeline
