"""What a training run may choose, as frozen values; `presets` has two. Knows no model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from idvid.config import DEFAULTS


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSettings:
    """What is rendered, and by how many processes."""

    num_shards: int  # training shards in all; rendering ends there
    first_shard: int = 0  # their first number: further people for a model that has seen others
    num_validation_shards: int = 2
    num_face_shards: int = 100  # shards of very short clips of further people, for the backbone
    num_cutout_shards: int = 100  # shards of photos with mattes, for the head matte
    num_series_shards: int = 200  # shards of people in many expressions, for the reenactor
    num_trace_shards: int = 40  # shards of landmark traces, for the planner
    clips_per_shard: int = 25
    traces_per_shard: int = 200
    trace_frames: int = 48  # frames of a landmark trace, at 12 fps
    width_px: int = 224
    height_px: int = 128
    num_references: int = 5
    reference_px: int = 128
    workers: int = 1  # rendering processes, one thread each
    encode_device: str = "cpu"  # where shards are turned into latents
    encoders: int = 1  # processes that do it
    wait_for_shards: int = 4  # training starts when so many are there
    shards_in_memory: int = 400  # of latents or of faces, about 15 MB each
    pictures_in_memory: int = 100  # shards of frames, about 26 MB each

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames in px."""
        return self.height_px, self.width_px

    def on(self, device: str) -> DataSettings:
        """The same for a run on a device: shards are encoded on a GPU only where the run has one."""
        return self if self.encode_device == "cpu" else replace(self, encode_device=device)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserSettings:
    """AdamW, and Muon if asked for: warm-up, a constant rate and a linear decay at the end."""

    num_steps: int
    batch_size: int
    learning_rate: float
    minutes: float | None = None  # wall limit of the stage; the decay then follows the clock
    warmup_steps: int = 300
    decay_share: float = 0.3  # last share of the stage
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.01
    muon: bool = False  # for the hidden matrices
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    log_every: int = 50  # steps
    poll_every: int = 100  # steps between two looks for new shards
    checkpoint_every: int = 500  # steps
    sheet_minutes: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoencoderSettings:
    """The frame autoencoder's stage."""

    optimiser: OptimiserSettings
    latent_channels: int = 12
    widths: tuple[int, int, int] = (32, 64, 192)  # the shipped one's
    crop_px: int = 96
    face_share: float = 0.75  # crops around a face
    face_weight: float = 3.0  # added to the loss's weight on faces
    latent_noise: float = 0.1  # of the latents' deviation, at most
    latent_penalty: float = 2e-4  # on the mean squared latent

    @property
    def config(self) -> dict[str, object]:
        """The sizes of the part."""
        return {"latent_channels": self.latent_channels, "widths": self.widths}


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSettings:
    """The conditioning face backbone's stage."""

    optimiser: OptimiserSettings
    widths: tuple[int, ...] = (32, 64, 128, 192)
    blocks: tuple[int, ...] = (1, 1, 2, 2)
    max_identities: int = 8192  # rows of the classifier; further people are not used
    images_per_identity: int = 2
    margin: float = 0.3  # CosFace (Wang et al. 2018)
    scale: float = 32.0
    compile: bool = False  # the convolutions, where a C++ compiler is at hand


@dataclass(frozen=True, slots=True, kw_only=True)
class ReenactorSettings:
    """The stage of the reenactor, which turns and moves the heads on photos."""

    optimiser: OptimiserSettings
    size_px: int = 96  # side of the heads that it reads
    detail_weight: float = 8.0  # added to the loss's weight on eyes, brows and mouths
    identity_weight: float = 0.2  # of the unlikeness to the wanted face, as the backbone sees it
    identity_rows: int = 12  # faces of a batch that it looks at
    paint_weight: float = 0.2  # of what is painted: colours of its own are blurred, photos are not
    misplaced: float = 0.02  # deviation of photos' landmarks, in face widths: detectors err


@dataclass(frozen=True, slots=True, kw_only=True)
class MatteSettings:
    """The stage of the head matte, which tells people on photos from what is behind them."""

    optimiser: OptimiserSettings
    size_px: int = 96  # side of the heads that it reads
    backdrop_share: float = 0.6  # of the photos: another background, often with a head in it
    coarse_share: float = 0.3  # of the batches: at half the resolution
    misplaced: float = 0.03  # deviation of the landmarks, in face widths: detectors err


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSettings:
    """The video transformer's stage, with the identity stack and the prompt encoder."""

    optimiser: OptimiserSettings
    width: int = 256
    depth: int = 8
    identity_tokens: int = 8
    text_depth: int = 2
    single_batch: int = 32  # rows of a batch of single frames
    single_share: tuple[float, float] = (0.9, 0.35)  # share of such batches: start, end
    long_share: float = 0.3  # of the other batches: 16 frames instead of 8, and half the rows
    people_shares: tuple[float, ...] = (0.2, 0.4, 0.25, 0.15)  # of batches: 1, 2, 3, 4 people
    drop_text: float = 0.1
    drop_identity: float = 0.25
    shuffle_slots: float = 0.5
    level_mixture: tuple[float, float, float] = (0.45, 0.35, 0.2)  # one, clean prefix, independent
    face_weight: float = 2.0  # added on faces: 2 makes it three times as much there
    detail_weight: float = 0.0  # added on eyes, brows and mouths
    identity_weight: float = 0.1  # of the identity loss, 0: none
    temporal_weight: float = 0.5  # of its second term, lambda
    identity_every: int = 4  # steps between two uses of the identity loss
    identity_rows: int = 2
    references: tuple[int, int] = (2, 4)  # at most so many per character: pictures, clips
    compile: bool = False  # the transformer's blocks, where a C++ compiler is at hand
    sheet_steps: int = 12  # Euler steps of the sample sheets

    @property
    def loss_weights(self) -> tuple[float, float]:
        """What counts more in the loss on faces, and on their eyes and mouths."""
        return self.face_weight, self.detail_weight

    def without_drops(self) -> VideoSettings:
        """The same, but nothing is dropped or shuffled: for measuring."""
        return replace(self, drop_text=0.0, drop_identity=0.0, shuffle_slots=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilSettings:
    """The stage of the few-step student; what is not said here is the video stage's."""

    optimiser: OptimiserSettings
    start: Literal["data", "teacher", "student"] = "student"  # of a segment, see `segments`
    sub_steps: int = 3  # of the teacher for one of the student
    guidance_scale: float = 4.0  # of the teacher; the student learns it, so it needs none
    usual_strength: float = DEFAULTS.identity_strength
    strengths: tuple[float, float] = (0.3, 1.5)
    face_weight: float = 2.0  # added on faces
    detail_weight: float = 0.0  # added on eyes, brows and mouths
    single_batch: int = 8  # rows of a batch of single frames
    single_share: float = 0.4  # share of such batches
    long_share: float = 0.5  # of the other batches: 16 frames instead of 8, and half the rows
    drop_identity: float = 0.15
    shuffle_slots: float = 0.25  # sampling gives slots in order
    compile: bool = False  # both transformers' blocks; a run of minutes does not earn it back

    @property
    def loss_weights(self) -> tuple[float, float]:
        """What counts more in the loss on faces, and on their eyes and mouths."""
        return self.face_weight, self.detail_weight

    def batches(self, video: VideoSettings) -> VideoSettings:
        """What the batches are like."""
        return replace(
            video,
            optimiser=self.optimiser,
            single_batch=self.single_batch,
            single_share=(self.single_share, self.single_share),
            long_share=self.long_share,
            drop_text=0.0,
            drop_identity=self.drop_identity,
            shuffle_slots=self.shuffle_slots,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderSettings:
    """The stage that teaches the decoder to draw what the student leaves."""

    optimiser: OptimiserSettings
    crop_px: int = 96
    face_share: float = 0.6  # crops around a face
    face_weight: float = 2.0  # added to the weight of L1 on faces
    clean_share: float = 0.2  # crops of latents that were only encoded
    feature_weight: float = 0.3  # of the distance in the backbone's features
    adversary_weight: float = 0.05
    adversary_ramp: float = 0.05  # share of the stage over which its weight grows
    learnt_share: float = 0.75  # of the way from the old weights to the new: all of it is too sharp


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannerSettings:
    """The face planner's stage."""

    optimiser: OptimiserSettings
    width: int = 192
    depth: int = 4
    num_frames: int = 16
    people_shares: tuple[float, ...] = (0.2, 0.5, 0.2, 0.1)  # of batches: 1, 2, 3, 4 people
    drop_text: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """Everything a run may choose."""

    name: str
    data: DataSettings
    autoencoder: AutoencoderSettings
    backbone: BackboneSettings
    reenactor: ReenactorSettings
    matte: MatteSettings
    video: VideoSettings
    distil: DistilSettings
    decoder: DecoderSettings
    planner: PlannerSettings
    threads: int | None = None  # torch's threads in the training process; None: all cores
    seed: int = 0
