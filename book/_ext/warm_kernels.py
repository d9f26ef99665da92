"""Kernels whose imports are done: one process imports what the chapters need, and every kernel is a fork of it.

Importing pandas, matplotlib and statsmodels costs each chapter three seconds of a processor. Only on Linux:
elsewhere numerical libraries need not survive a fork, and Jupyter's own kernels run.

Jupyter starts a kernel by a command. Here that is this file as a script, which asks the warm process for a fork through
a socket and waits until the socket closes: it lives as long as the kernel, and the kernel as long as it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

MODULES = (
    "IPython.core.completer",
    "ipykernel.kernelapp",
    "matplotlib.pyplot",
    "numpy.random",
    "pandas",
    "scipy.stats",
    "seaborn",
    "statsmodels.formula.api",
)
BACKEND = "module://matplotlib_inline.backend_inline"  # Jupyter's, which matplotlib reads when it is imported


@contextmanager
def warm_kernels(folder):
    """Have Jupyter's kernels forked from a process in `folder`, whose matplotlibrc holds."""
    if sys.platform != "linux":
        yield
        return
    with tempfile.TemporaryDirectory() as place:
        path, before = f"{place}/socket", os.environ.get("JUPYTER_PATH")
        spec = Path(place) / "kernels" / "python3" / "kernel.json"
        spec.parent.mkdir(parents=True)
        argv = [sys.executable, __file__, path, "-f", "{connection_file}"]
        spec.write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}), encoding="utf-8")
        os.environ["JUPYTER_PATH"] = place + (os.pathsep + before if before else "")
        command = [sys.executable, __file__, path]
        warm = subprocess.Popen(command, cwd=folder, env={"MPLBACKEND": BACKEND} | os.environ, stdout=subprocess.PIPE)
        try:
            if not warm.stdout.readline():
                raise RuntimeError(f"the process that kernels are forked from ended with {warm.wait()}; see above")
            yield
        finally:
            warm.kill()
            warm.wait()
            warm.stdout.close()
            if before is None:
                del os.environ["JUPYTER_PATH"]
            else:
                os.environ["JUPYTER_PATH"] = before


def serve(path):
    """Be the warm process: import, then fork for everybody who connects."""
    for name in MODULES:
        import_module(name)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for kernels that have ended
        print("ready", flush=True)
        os.dup2(2, 1)  # nobody reads on
        while True:
            client, _ = server.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                server.close()
                be_kernel(client, json.loads(client.makefile().readline()))
                os._exit(0)
            client.close()


def be_kernel(client, request):
    """Be a kernel as if started by itself, until it is told to end or its client is gone."""
    from ipykernel.kernelapp import launch_new_instance

    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    threading.Thread(target=lambda: client.recv(1) or os._exit(1), daemon=True).start()
    launch_new_instance(request["arguments"])


def ask(path, *arguments):
    """Be the command that Jupyter starts, and interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
        server.sendall(json.dumps(request).encode() + b"\n")
        server.recv(1)


if __name__ == "__main__":
    del sys.path[0]  # this folder, whose modules are none of a chapter's
    serve(*sys.argv[1:]) if len(sys.argv) == 2 else ask(*sys.argv[1:])
