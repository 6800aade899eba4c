"""The VACE backend: photoreal video of several people from public Wan2.1-VACE weights.

    prepare -> for each window: condition, denoise, decode

The same interface as `IdVidPipeline`. The denoising loop is `WanVACEPipeline`'s as a generator, so
that a caller can stop between any two steps; at strength 0 it is equal to it bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from diffusers.pipelines.wan.pipeline_wan_vace import WanVACEPipeline
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch.nn import functional

from idvid.conditioning.prompt import plain_prompt
from idvid.models.wan_attach import attach_identity
from idvid.pipeline.backend import checked_method, whole_clip
from idvid.pipeline.vace_conditions import (
    LatentCoder,
    VaceConditions,
    aligned_mask,
    conditioning_scale,
    control_video,
    hint_scale,
    latent_frames,
    with_references,
)
from idvid.pipeline.vace_options import PATCH_PX, VaceOptions
from idvid.pipeline.vace_prepare import (
    NEGATIVE_PROMPT,
    VaceRequest,
    place,
    portraits,
    prepare_cast,
)
from idvid.pipeline.vace_windows import (
    distant_frames,
    go_on,
    match_colour,
    plan_windows,
    remember,
)
from idvid.types import StepDone, WindowDone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from idvid.config import GenerationSettings
    from idvid.faces.quality import ReferenceFace
    from idvid.models.face_backbone import FaceBackbone
    from idvid.models.wan_adapter import WanIdentityAdapter
    from idvid.pipeline.vace_windows import VaceHistory, VaceWindow
    from idvid.types import Backend, Clip, Scene

TEXT_TOKENS = 512


class IdVidVacePipeline(WanVACEPipeline):
    """Videos of up to four people who keep their faces, from Wan2.1 VACE."""

    options = VaceOptions()
    adapter: WanIdentityAdapter | None = None
    conditioner: FaceBackbone | None = None  # the face network that must never judge
    _coder: LatentCoder | None = None  # of the last clip

    @property
    def backend(self) -> Backend:
        """What this pipeline makes."""
        return self.options.backend()

    def attach(self, adapter: WanIdentityAdapter) -> None:
        """Add identity attention; before offloading, compiling and quantising.

        Raises:
            ModelError: it does not fit this model, or it is too late.
        """
        attach_identity(self.transformer, adapter.identity_layers)
        self.adapter, self.conditioner = adapter, adapter.backbone

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride] - idvid's interface, not diffusers'
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
        before: NDArray[np.uint8] | None = None,
    ) -> Iterator[StepDone | WindowDone]:
        """Generate window by window.

        Args:
            scene: prompt, characters, length and seed.
            references: per character, the usable photos with their faces (`check_references`).
            settings: method, strength, steps, guidance.
            cancelled: asked before every step; True ends the stream.
            before: finished frames (T, H, W, 3) that the clip goes on from, in its size and rate.

        Yields:
            StepDone after every denoising step, WindowDone with the new frames of every window.

        Raises:
            InputError: no such method, too many characters, references that are not theirs, or
                `before` is of another size.
        """
        request = self.prepare(scene, references, settings)
        size = (self.options.height_px, self.options.width_px)
        history = None if before is None else go_on(before, size, self.options.kept_frames)
        total = max(1, round(scene.seconds * self.options.fps))
        known = 0 if history is None else len(history.recent)
        sizes = (self.options.window_frames, self.options.kept_frames)
        try:
            for window in plan_windows(total, *sizes, known):
                conditions = self.condition(request, window, history)
                latents = yield from self.denoise(request, window, conditions, cancelled)
                if latents is None:
                    return
                done = self.decode(request, window, latents, history)
                yield done
                history = remember(history, done.frames, self.options.kept_frames)
        finally:
            self.maybe_free_model_hooks()

    def prepare(
        self,
        scene: Scene,
        references: Sequence[Sequence[ReferenceFace]],
        settings: GenerationSettings,
    ) -> VaceRequest:
        """Encode what every window shares."""
        method = checked_method(self.backend, scene, references, settings)
        used = references if method.uses_references and settings.identity_strength > 0 else ()
        with torch.no_grad():
            text = self.encode_prompt(
                plain_prompt(scene.prompt, scene.characters),
                NEGATIVE_PROMPT,
                settings.guidance_scale > 1,
                max_sequence_length=TEXT_TOKENS,
                device=self._execution_device,
            )
            coder = LatentCoder.following(self._coder, self.vae, self._execution_device)
            self._coder = coder
            return VaceRequest(
                settings=settings,
                method=method,
                generator=torch.Generator().manual_seed(scene.seed),
                text=text,
                coder=coder,
                references=self._encode_references(coder, portraits(used)),
                cast=prepare_cast(self.adapter, scene, used),
            )

    @torch.no_grad()
    def condition(
        self, request: VaceRequest, window: VaceWindow, history: VaceHistory | None
    ) -> VaceConditions:
        """Everything the transformer reads beside the latents."""
        height, width = self.options.height_px, self.options.width_px
        references = [*request.references]
        if history is not None and request.method.distant_frames:
            frames = distant_frames(history, request.method.distant_frames)
            images = [Image.fromarray(frame) for frame in frames]
            references += self._encode_references(request.coder, images)
        shape = (window.num_frames, height, width)
        kept = history.recent[-window.num_kept :] if history and window.num_kept else None
        nothing = request.coder.nothing(shape)
        known = nothing if kept is None else request.coder.encode(control_video(kept, shape))
        control = with_references(torch.cat([known, nothing], dim=1), references)
        mask = aligned_mask(window, height, width).to(self._execution_device)
        # diffusers pads for references itself, but for no more than there are latent frames
        masks = self.prepare_masks(mask, cast("Any", [[]]))
        masks = functional.pad(masks, (0, 0, 0, 0, len(references), 0))
        grid = (latent_frames(window.num_frames), height // PATCH_PX, width // PATCH_PX)
        strength = request.settings.identity_strength
        return VaceConditions(
            control=torch.cat([control, masks], dim=1).to(self.transformer.dtype),
            hint_scale=hint_scale(
                conditioning_scale(strength) if request.references else 1.0,
                len(self.transformer.config.vace_layers),
                len(references),
                window,
                grid[1] * grid[2],
            ).to(self._execution_device, self.transformer.dtype),
            num_references=len(references),
            identity=place(request, self.adapter, history, grid),
        )

    def denoise(
        self,
        request: VaceRequest,
        window: VaceWindow,
        conditions: VaceConditions,
        cancelled: Callable[[], bool],
    ) -> Iterator[StepDone]:
        """Denoise a window; returns latents (1, 16, f, h, w), or None if cancelled."""
        device, steps = self._execution_device, request.settings.num_steps
        # Streams may take turns on one pipeline: each window has a scheduler of its own.
        scheduler: Any = UniPCMultistepScheduler.from_config(self.scheduler.config)
        scheduler.set_timesteps(steps, device=device)
        latents = self._noise(request, conditions)
        done, total = window.index * steps, window.num_windows * steps
        self.transformer._reset_stateful_cache()
        for index, timestep in enumerate(scheduler.timesteps):
            if cancelled():
                return None
            with torch.no_grad():
                velocity = self._velocity(request, conditions, latents, timestep)
                clean = latents - timestep / scheduler.config.num_train_timesteps * velocity
                latents = scheduler.step(velocity, timestep, latents, return_dict=False)[0]
                preview = self._preview(request, clean, index)
            yield StepDone(done=done + index + 1, total=total, preview=preview)
        return latents[:, :, conditions.num_references :]

    @torch.no_grad()
    def decode(
        self,
        request: VaceRequest,
        window: VaceWindow,
        latents: Tensor,
        history: VaceHistory | None,
    ) -> WindowDone:
        """Latents of a window to its new frames, in the colours of those before."""
        made = request.coder.decode(latents)[: window.num_kept + window.num_new]
        kept = history.recent[-window.num_kept :] if history and window.num_kept else made[:0]
        return WindowDone(
            first_frame=window.first_frame,
            total_frames=window.total_frames,
            fps=self.options.fps,
            frames=match_colour(made, window.num_kept, kept),
        )

    def unknown_words(self, scene: Scene) -> tuple[str, ...]:  # noqa: ARG002 - part of the interface
        """None: the text encoder has read most words of most languages."""
        return ()

    def _noise(self, request: VaceRequest, conditions: VaceConditions) -> Tensor:
        shape = (1, self.transformer.config.in_channels, *conditions.control.shape[2:])
        return randn_tensor(shape, request.generator, request.coder.device, torch.float32)

    def _velocity(
        self, request: VaceRequest, conditions: VaceConditions, latents: Tensor, timestep: Tensor
    ) -> Tensor:
        """The guided prediction: one pass, or two with guidance."""
        scale = request.settings.guidance_scale

        def predict(branch: str, text: Tensor) -> Tensor:
            dtype, identity = self.transformer.dtype, conditions.identity
            with self.transformer.cache_context(branch):
                return self.transformer(
                    hidden_states=latents.to(dtype),
                    timestep=timestep.expand(1),
                    encoder_hidden_states=text.to(dtype),
                    control_hidden_states=conditions.control,
                    control_hidden_states_scale=conditions.hint_scale,
                    attention_kwargs=None if identity is None else {"identity": identity},
                    return_dict=False,
                )[0]

        text, no_text = request.text
        velocity = predict("cond", text)
        if scale > 1 and no_text is not None:
            without = predict("uncond", no_text)
            velocity = without + scale * (velocity - without)
        return velocity

    def _encode_references(
        self, coder: LatentCoder, images: list[Image.Image]
    ) -> tuple[Tensor, ...]:
        if not images:
            return ()
        size = (self.options.height_px, self.options.width_px)
        _, _, fitted = self.preprocess_conditions(
            None, None, [images], 1, *size, 1, torch.float32, coder.device
        )
        return tuple(coder.encode(image[None, :, None]) for image in fitted[0])

    def _preview(self, request: VaceRequest, clean: Tensor, index: int) -> NDArray[np.uint8] | None:
        """The middle frame as it stands, small; None in between."""
        every = self.options.preview_every
        if every < 1 or (index + 1) % every:
            return None
        middle = clean.shape[2] // 2
        return request.coder.still(clean[:, :, middle : middle + 1])
