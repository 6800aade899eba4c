"""`python tiny_vace_page.py PORT`: the page as `app.py` makes it, VACE models at a tiny size."""

import sys

import wan_tiny


def main() -> None:
    from idvid.pipeline.loader import Loader
    from idvid.pipeline.vace_options import VaceOptions
    from idvid.ui.engine import Engine
    from idvid.ui.page import build, launch_options

    engine = Engine(Loader(VaceOptions(**wan_tiny.VACE_SIZE)))
    demo = build(engine)
    demo.launch(server_port=int(sys.argv[1]), prevent_thread_lock=True, **launch_options())
    engine.start()
    demo.block_thread()


if __name__ == "__main__":
    main()
