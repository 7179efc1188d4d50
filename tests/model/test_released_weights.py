"""Weights with the released names fill our towers, and give the vectors of the released forward
pass."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, normalize
from transformers import BertConfig, BertModel

from tests.train.runs import config
from wenlan_data.errors import UsageError
from wenlan_data.model.released_weights import from_released, is_released, load_released
from wenlan_data.model.towers import Towers, make_towers

SIZE, WIDTH, TEXT, VOCABULARY = 64, 1280, 16, 60


class _ImageEncoder(nn.Module):
    """The released forward pass with the parameter names of `models/vl_model.py`, one image at a
    time."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        layer = nn.TransformerEncoderLayer(WIDTH, 4, dim_feedforward=32)
        self.learnable = nn.ModuleDict(
            {
                "imgFC": _Mlp(WIDTH, WIDTH),
                "imgAtt": nn.TransformerEncoder(layer, 1, enable_nested_tensor=False),
                "max_pool": nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 1), nn.AvgPool2d(4, stride=1)),
            }
        )

    def forward(self, image: Tensor, mask: Tensor, boxes: Tensor) -> Tensor:
        maps = self.backbone.forward_features(image)
        regions = torch.stack(
            [self._regions(one, box) for one, box in zip(maps, boxes, strict=True)]
        )
        return _summary(
            normalize(regions, dim=-1), mask, self.learnable["imgAtt"], self.learnable["imgFC"]
        )

    def _regions(self, one: Tensor, boxes: Tensor) -> Tensor:
        height, width = one.shape[1:]
        x1, y1, x2, y2 = (boxes / (SIZE / height)).unbind(1)
        zero = torch.zeros_like(x1)
        rows = [(x2 - x1) / (width - 1), zero, (x1 + x2 - width + 1) / (width - 1),
                zero, (y2 - y1) / (height - 1), (y1 + y2 - height + 1) / (height - 1)]  # fmt: skip
        places = affine_grid(
            torch.stack(rows, 1).view(-1, 2, 3), [len(boxes), WIDTH, 4, 4], align_corners=False
        )
        pooled = grid_sample(one.expand(len(boxes), -1, -1, -1), places, align_corners=False)
        flat: Tensor = self.learnable["max_pool"](pooled).flatten(1)
        return flat


class _TextEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        shape = BertConfig(vocab_size=VOCABULARY, hidden_size=TEXT, num_hidden_layers=1, num_attention_heads=2,
                           intermediate_size=4 * TEXT, max_position_embeddings=32)  # fmt: skip
        self.backbone = nn.Module()
        self.backbone.bert = BertModel(shape)
        layer = nn.TransformerEncoderLayer(TEXT, 4, dim_feedforward=32)
        self.learnable = nn.ModuleDict(
            {
                "textFC": _Mlp(TEXT, WIDTH),
                "textAtt": nn.TransformerEncoder(layer, 1, enable_nested_tensor=False),
            }
        )

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        states = self.backbone.bert(tokens, return_dict=True).last_hidden_state
        return _summary(
            normalize(states, dim=-1), mask, self.learnable["textAtt"], self.learnable["textFC"]
        )


class _Mlp(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.fc1, self.relu, self.fc2 = nn.Linear(width, out), nn.ReLU(), nn.Linear(out, out)

    def forward(self, vectors: Tensor) -> Tensor:
        found: Tensor = self.fc2(self.relu(self.fc1(vectors)))
        return found


def _summary(vectors: Tensor, mask: Tensor, attention: nn.Module, head: nn.Module) -> Tensor:
    found = attention(vectors.transpose(0, 1), src_key_padding_mask=mask == 0).transpose(0, 1)
    pooled: Tensor = head((found * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))
    return pooled


@pytest.fixture(scope="module")
def released() -> nn.Module:
    import timm

    torch.manual_seed(3)
    model = nn.Module()
    parts = {
        name: _ImageEncoder(timm.create_model("tf_efficientnet_b0"))
        for name in ("imgencoder", "imgencoder_mom")
    }
    texts = {name: _TextEncoder() for name in ("textencoder", "textencoder_mom")}
    model.learnable = nn.ModuleDict({**parts, **texts})
    model.register_buffer("img_queue", torch.randn(WIDTH, 8))
    model.register_buffer("img_queue_ptr", torch.zeros(1, dtype=torch.long))
    model.register_buffer("text_queue", torch.randn(WIDTH, 8))
    model.register_buffer("text_queue_ptr", torch.zeros(1, dtype=torch.long))
    return model.eval()


@pytest.fixture
def towers() -> Towers:
    return make_towers(
        config(
            "image.backbone=tf_efficientnet_b0", f"image.size_px={SIZE}", f"embedding={WIDTH}", "compat=released",
            "attention={layers: 1, heads: 4, feed_forward: 32}", "regions={mode: boxes, most: 5}",
        ),
        VOCABULARY,
    ).eval()  # fmt: skip


def test_released_weights_give_the_released_vectors(released: nn.Module, towers: Towers) -> None:
    state = released.state_dict()
    assert is_released(state)
    load_released(towers, {f"module.{name}": value for name, value in state.items()})
    image = torch.randn(2, 3, SIZE, SIZE)
    boxes = torch.tensor([[[0.0, 0, 30, 40], [10, 10, 64, 64], [0, 0, 64, 64], [0, 0, 0, 0]],
                          [[5.0, 5, 20, 60], [0, 0, 64, 64], [0, 0, 0, 0], [0, 0, 0, 0]]])  # fmt: skip
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
    tokens = torch.randint(1, VOCABULARY, (2, 8))
    text_mask = torch.tensor([[1] * 8, [1] * 5 + [0] * 3])
    with torch.no_grad():
        expected = released.learnable["imgencoder"](image, mask, boxes)
        found = towers.image(image, boxes, mask.bool())
        assert torch.allclose(normalize(found), normalize(expected), atol=1e-5)
        expected = released.learnable["textencoder"](tokens, text_mask)
        found = towers.text(tokens, text_mask.bool())
        assert torch.allclose(normalize(found), normalize(expected), atol=1e-5)


def test_queues_become_rows_and_momentum_towers_keep_their_weights(released: nn.Module) -> None:
    found = from_released(released.state_dict())
    assert torch.equal(found["image_queue"], released.img_queue.T)
    assert torch.equal(found["text_queue"], released.text_queue.T)
    wanted = released.learnable["imgencoder_mom"].learnable["imgFC"].fc1.weight
    assert torch.equal(found["image_key.summary.head.fc1.weight"], wanted)


def test_weights_that_do_not_fit_are_refused_by_name(released: nn.Module, towers: Towers) -> None:
    state = released.state_dict()
    del state["learnable.textencoder.learnable.textFC.fc2.bias"]
    with pytest.raises(UsageError, match=r"text\.summary\.head\.fc2\.bias"):
        load_released(towers, state)
    with pytest.raises(UsageError, match="no parameter of the released BriVL"):
        load_released(towers, {**state, "somebody.else": torch.zeros(1)})
