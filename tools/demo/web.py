"""Try a model on a page in the browser: drop an image, move its box, add points, and see it refined again.

The page is served to this machine alone, and asks nothing of any other; images that are dropped are not kept.

Example:
  python tools/demo/web.py ultrarefiner-small-bus
  python tools/demo/web.py checkpoints/ultrarefiner/busi/fold_0/best.pth
"""

import socket
import time
from pathlib import Path

from ultrarefiner.apis.cli import one_message, run_tool, tool_parser
from ultrarefiner.apis.init_model import init_model
from ultrarefiner.apis.web.web_page import build_page, import_gradio, launch_options

HOST, PORT = '127.0.0.1', 7860


def main() -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('checkpoint', help='a best.pth, a package, or a name that tools/predict.py --list prints')
    parser.add_argument('--coarse', metavar='CKPT', help='checkpoint of phase 1 for a checkpoint of phase 2')
    parser.add_argument('--device', help='cpu, cuda or cuda:1; defaults to a GPU where there is one')
    parser.add_argument('--port', type=int, default=PORT, help=f'where the page is served; defaults to {PORT}')
    parser.add_argument(
        '--share', choices=['no', 'yes'], default='no', help='yes makes the page public through a server of gradio'
    )
    args = parser.parse_args()
    with one_message():
        import_gradio()
        check_port(args.port)
        model = init_model(args.checkpoint, coarse=args.coarse, device=args.device).requires_grad_(False)
        app = build_page(model, title(args.checkpoint))
        _, local, shared = app.launch(**launch_options(args.port, args.share == 'yes'))
    try:
        print(f'open {shared or local.rstrip("/")} in a browser; Ctrl-C ends it', flush=True)
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        print('\nended')
    finally:
        app.close(verbose=False)


def check_port(port: int) -> None:
    """Check that a port is free.

    Raises:
        ValueError: If it is none, or taken.
    """
    if not 0 < port < 65536:
        raise ValueError(f'--port is {port}, expected a number from 1 to 65535')
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ValueError(
                f'port {port} cannot be used ({error.strerror}): another page may be served there; end that one, or '
                f'give another port, such as --port {port + 1 if port < 65535 else PORT}'
            ) from error


def title(checkpoint: str) -> str:
    """The last folders and the name of a checkpoint, which tell it from others."""
    return '/'.join(Path(checkpoint).parts[-3:])


if __name__ == '__main__':
    run_tool(main)
