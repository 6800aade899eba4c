"""A stand-in for the host of a ZeroGPU Space, so that the real wrappers of `spaces` run on a CPU."""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

asked = []


class DeviceHost(BaseHTTPRequestHandler):
    """The machine's side: grants every request for the GPU."""

    def do_POST(self):
        url = urlparse(self.path)
        asked.append((url.path, {k: v[0] for k, v in parse_qs(url.query).items()}))
        grant = {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": "t"}
        body = json.dumps(grant).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


def become_a_space(home):
    """Start the host, set what a Space finds in its environment, and import `spaces`.

    The wrappers would take torch over, which needs CUDA; so torch is not there while they look.
    Call it before anything imports torch.
    """
    host = ThreadingHTTPServer(("127.0.0.1", 0), DeviceHost)
    threading.Thread(target=host.serve_forever, daemon=True).start()
    (home / "cgroup").write_text("1:devices:/space\n")
    os.environ |= {
        "HOME": str(home),
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": f"http://127.0.0.1:{host.server_port}",
        "ZEROGPU_PROC_SELF_CGROUP_PATH": str(home / "cgroup"),
    }
    sys.modules["torch"] = None
    import spaces

    del sys.modules["torch"]
    assert spaces.config.Config.zero_gpu
