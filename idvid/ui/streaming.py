"""A streaming video component that needs no system ffmpeg.

Owns the five hooks that Gradio calls on a streaming output. They are no documented API: gradio is
pinned exactly and the browser test guards them.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import anyio.to_thread
import gradio as gr
from gradio.data_classes import FileData, FileDataDict, MediaStreamChunk

from idvid.media.video import concat, segment_seconds


class StreamingVideo(gr.Video):
    """`gr.Video(streaming=True)` whose chunks are MPEG-TS files, passed through as they are.

    It has no `__init__`: Gradio reads the signature of the class's own to build the page.
    """

    def get_block_name(self) -> str:
        """Use the stock front end."""
        return "video"

    async def stream_output(
        self,
        value: str | Path | None,
        output_id: str,
        first_chunk: bool,  # noqa: ARG002
    ) -> tuple[MediaStreamChunk | None, FileDataDict]:
        """Turn a chunk's path into the bytes of a segment and the player's address."""
        player: FileDataDict = {
            "path": output_id,
            "is_stream": True,
            "orig_name": "video-stream.mp4",
            "meta": {"_type": "gradio.FileData"},
        }
        if value is None:
            return None, player
        return await anyio.to_thread.run_sync(read_segment, Path(value)), player

    async def flush_stream_output(self, output_id: str) -> None:
        """Nothing is held back between chunks."""

    def end_stream_output(self, output_id: str) -> None:
        """Nothing is to be released."""

    async def combine_stream(
        self,
        stream: Iterable[bytes],
        desired_output_format: str | None = None,  # noqa: ARG002
        only_file: bool = False,  # noqa: ARG002
    ) -> FileData:
        """Join the segments to one mp4 (the player's own download button)."""
        with tempfile.NamedTemporaryFile(
            delete=False, suffix=".mp4", dir=self.GRADIO_CACHE
        ) as file:
            path = Path(file.name)
        await anyio.to_thread.run_sync(concat, list(stream), path)
        return FileData(path=str(path), is_stream=False, orig_name="video.mp4")


def read_segment(path: Path) -> MediaStreamChunk:
    """A segment as Gradio's media stream wants it; duration in seconds."""
    data = path.read_bytes()
    return {"data": data, "duration": segment_seconds(data), "extension": ".ts"}
