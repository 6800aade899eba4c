"""Tiny ONNX networks of the true shapes: what insightface takes for SCRFD and for ArcFace.

The detector sees a face wherever one cell of its 32 px grid is red; box and landmarks stand at
fixed places around that cell, so that a test knows what must come out.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STRIDES, ANCHORS = (8, 16, 32), 2
BOX = np.array([1.0, 0.5, 3.0, 4.5], np.float32)  # left, top, right, bottom of the cell, in cells
POINTS = np.array(  # pupils, nose, mouth, in cells from the cell's corner: a face that looks aside
    [[0.1, 1.0], [1.8, 1.1], [0.7, 2.0], [0.2, 3.1], [1.6, 3.2]], np.float32
)


def save_detector(file, outputs=9, last=4):
    """9 outputs: scores, boxes of `last` numbers and landmarks at three strides; 6: no landmarks."""
    nodes, weights, heads = [], [], {"score": [], "box": [], "kps": []}
    values = {
        "score": (np.array([20.0, 0]), np.array([-16.0, -20])),  # red is 1, black -1
        "box": (np.zeros(ANCHORS * last), np.tile(np.resize(BOX, last), ANCHORS)),
        "kps": (np.zeros(ANCHORS * 10), np.tile(POINTS.ravel(), ANCHORS)),
    }
    kinds = list(heads)[: outputs // len(STRIDES)]
    pick_red = np.array([1, 0, 0], np.float32).reshape(1, 3, 1, 1)
    weights.append(numpy_helper.from_array(pick_red, "red"))
    nodes.append(helper.make_node("Conv", ["input.1", "red"], ["r"]))
    for stride in STRIDES:
        side = [stride, stride]
        pool = helper.make_node(
            "AveragePool", ["r"], [f"p{stride}"], kernel_shape=side, strides=side
        )
        nodes.append(pool)
        for kind in kinds:
            scale, shift = values[kind]
            if kind == "score" and stride != STRIDES[-1]:
                scale, shift = scale * 0, shift * 0 - 20
            name = f"{kind}{stride}"
            width = len(scale) // ANCHORS
            for key, value in (("w", scale.reshape(-1, 1, 1, 1)), ("b", shift)):
                weights.append(numpy_helper.from_array(value.astype(np.float32), f"{name}_{key}"))
            shape = numpy_helper.from_array(np.array([-1, width]), f"{name}_s")
            weights.append(shape)
            squash = "Sigmoid" if kind == "score" else "Identity"
            nodes += [
                helper.make_node("Conv", [f"p{stride}", f"{name}_w", f"{name}_b"], [f"{name}_c"]),
                helper.make_node(squash, [f"{name}_c"], [f"{name}_q"]),
                helper.make_node("Transpose", [f"{name}_q"], [f"{name}_t"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"{name}_t", f"{name}_s"], [name]),
            ]
            heads[kind].append((name, [f"n{stride}", width]))
    flat = [head for kind in kinds for head in heads[kind]]
    _save(file, nodes, weights, [1, 3, "h", "w"], flat)


def save_recogniser(file, seed=0, size=112, batch="n", outputs=1):
    """A square picture to 512 numbers: means of 4x4 patches through a random matrix."""
    matrix = np.random.default_rng(seed).normal(size=(3 * 16, 512)).astype(np.float32)
    side = [size // 4] * 2
    nodes = [
        helper.make_node("AveragePool", ["input.1"], ["p"], kernel_shape=side, strides=side),
        helper.make_node("Flatten", ["p"], ["f"]),
        *[helper.make_node("MatMul", ["f", "w"], [f"y{i}"]) for i in range(outputs)],
    ]
    heads = [(f"y{i}", [batch, 512]) for i in range(outputs)]
    weights = [numpy_helper.from_array(matrix, "w")]
    _save(file, nodes, weights, [batch, 3, size, size], heads)


def save_pack(folder, seed=0, names=("det.onnx", "rec.onnx")):
    """A whole pack in a new folder, which is returned."""
    folder.mkdir(parents=True)
    save_detector(folder / names[0])
    save_recogniser(folder / names[1], seed)
    return folder


def _save(file, nodes, weights, shape, heads):
    def typed(name, dims):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)

    graph = helper.make_graph(
        nodes, "tiny", [typed("input.1", shape)], [typed(*head) for head in heads], weights
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(file))
