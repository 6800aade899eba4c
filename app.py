"""The page: `python app.py`. Builds it, serves it, and loads the models behind it.

On a ZeroGPU Space the model is loaded first, here at module scope: weights that are meant for the
GPU are packed when the page starts to answer, and the workers that borrow it take them from there.
"""

import os
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from idvid import runtime
from idvid.ui.engine import Engine
from idvid.ui.page import build, launch_options

engine = Engine()
demo = build(engine, Path(__file__).parent / "examples" / "scenes")
if runtime.on_zero_gpu():
    engine.start_now()


def main() -> None:
    """Answer first, load the models then."""
    demo.launch(prevent_thread_lock=True, **launch_options())
    engine.start()
    demo.block_thread()


if __name__ == "__main__":
    main()
