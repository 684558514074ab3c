"""The peer: FastAPI, uvicorn and ONNX Runtime, as a careful person writes it.

Typed request models, one session per model made at start with one thread,
scoring inline in an async handler (a thread pool costs more than these models
take), uvloop and httptools, no access log, one worker.

    python peer.py MODEL_DIR NAME…

serves `POST /NAME` for each model, on a free port of 127.0.0.1, and prints
`listening on http://127.0.0.1:PORT`. No key is checked and nothing is counted.
"""

import asyncio
import socket
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Numbers(BaseModel):
    ColumnNames: list[str]
    Values: list[list[float]]


class NumbersInputs(BaseModel):
    input1: Numbers


class NumbersRequest(BaseModel):
    Inputs: NumbersInputs
    GlobalParameters: dict[str, str] | None = None


class Mixed(BaseModel):
    ColumnNames: list[str]
    Values: list[list[float | str | None]]


class MixedInputs(BaseModel):
    input1: Mixed


class MixedRequest(BaseModel):
    Inputs: MixedInputs
    GlobalParameters: dict[str, str] | None = None


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def reply(labels, probabilities):
    return {
        "Results": {
            "output1": {
                "type": "table",
                "value": {
                    "ColumnNames": ["Scored Labels", "Scored Probabilities"],
                    "Values": [[int(l), float(p)] for l, p in zip(labels, probabilities[:, 1])],
                },
            }
        }
    }


def application(folder, names):
    app = FastAPI()

    if "trees" in names:
        trees = session(folder / "trees.onnx")
        columns = [f"f{i}" for i in range(30)]

        @app.post("/trees")
        async def score_trees(request: NumbersRequest):
            table = request.Inputs.input1
            values = np.asarray(table.Values, dtype=np.float32)
            if table.ColumnNames != columns:
                values = values[:, [table.ColumnNames.index(name) for name in columns]]
            return reply(*trees.run(None, {"features": values}))

    if "mixed" in names:
        mixed = session(folder / "mixed.onnx")
        inputs = [(i.name, np.float32 if "float" in i.type else object) for i in mixed.get_inputs()]

        @app.post("/mixed")
        async def score_mixed(request: MixedRequest):
            table = request.Inputs.input1
            by_name = dict(zip(table.ColumnNames, zip(*table.Values)))
            feeds = {
                name: np.array(by_name[name], dtype=kind).reshape(-1, 1) for name, kind in inputs
            }
            return reply(*mixed.run(None, feeds))

    return app


async def main():
    app = application(Path(sys.argv[1]), sys.argv[2:])
    # With the protocol named, the event loop switches Nagle's algorithm off.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(main())
