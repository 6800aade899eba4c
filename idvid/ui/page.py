"""The page and the API put together, with the limits they are served under."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradio.themes import Default

from idvid.scene_file import read_scene
from idvid.ui import text
from idvid.ui.api import add_api
from idvid.ui.guard import GuardedBlocks
from idvid.ui.handlers import Handlers, wire
from idvid.ui.layout import build_page
from idvid.ui.model_handlers import described

if TYPE_CHECKING:
    import gradio as gr

    from idvid.ui.engine import Engine

HERE = Path(__file__).parent
HOUR_S, DAY_S = 3600, 86400
CONTRAST = {"block_info_text_color": "*neutral_600", "block_info_text_color_dark": "*neutral_300"}


def build(engine: Engine, examples: Path | None = None) -> gr.Blocks:
    """Build the page.

    Args:
        engine: what makes and measures the videos; it is not started here.
        examples: a folder of scene files (*.json) to offer as examples.
    """
    files = sorted(examples.glob("*.json")) if examples else []
    titles = [file.stem.replace("_", " ").replace("-", " ").capitalize() for file in files]
    scenes = tuple(read_scene(file) for file in files)
    with GuardedBlocks(
        title=text.TITLE, analytics_enabled=False, fill_width=True, delete_cache=(HOUR_S, DAY_S)
    ) as blocks:
        add_api(engine)  # first, for the names: the handlers below have some in common
        handlers = Handlers(build_page(titles), engine, scenes)
        wire(handlers)
        blocks.load(
            handlers.models.greet,
            None,
            described(handlers.page),
            api_visibility="private",
            show_progress="hidden",
        )
        blocks.unload(handlers.leave)
    return blocks.queue(max_size=16, default_concurrency_limit=4)


def launch_options() -> dict[str, Any]:
    """How the page is served: limits on uploads, nothing recorded, stock theme and a little CSS."""
    theme = Default(primary_hue="indigo").set(**CONTRAST)
    return {
        "theme": theme,
        "css_paths": HERE / "page.css",
        "max_file_size": "15mb",
        "enable_monitoring": False,
        "run_history": False,
        "ssr_mode": False,
        "show_error": False,
        "footer_links": ["api", "settings"],
    }
