import pytest
import torch
from torch import nn

from wenlan_data.errors import RecipeError
from wenlan_data.model.attention import (
    AttentionPooling,
    AttentionShape,
    EncoderLayer,
    l2_normalise,
    masked_mean,
)

SHAPE = AttentionShape(layers=2, heads=4, feed_forward=24, dropout=0.1)


def _mask() -> torch.Tensor:
    return torch.tensor([[True, True, True, False, False], [True, True, True, True, True]])


def test_a_layer_is_torchs_own_post_norm_layer() -> None:
    theirs = nn.TransformerEncoderLayer(16, 4, dim_feedforward=24, batch_first=True).eval()
    ours = EncoderLayer(16, SHAPE).eval()
    nn.init.normal_(theirs.self_attn.in_proj_bias)
    ours.load_state_dict(theirs.state_dict())
    vectors, mask = torch.randn(2, 5, 16), _mask()
    expected = theirs(vectors, src_key_padding_mask=~mask)
    assert torch.allclose(ours(vectors, mask)[mask], expected[mask], atol=1e-5)


def test_padding_does_not_change_the_result() -> None:
    pooling = AttentionPooling(16, 8, SHAPE).eval()
    vectors = torch.randn(2, 5, 16)
    other = vectors.clone()
    other[0, 3:] = 100
    assert torch.allclose(pooling(vectors, _mask()), pooling(other, _mask()), atol=1e-6)


def test_the_order_of_regions_does_not_change_the_result() -> None:
    pooling = AttentionPooling(16, 8, SHAPE).eval()
    vectors, mask = torch.randn(2, 5, 16), torch.ones(2, 5, dtype=torch.bool)
    assert torch.allclose(pooling(vectors, mask), pooling(vectors.flip(1), mask), atol=1e-5)


def test_the_bias_of_the_keys_gets_no_gradient_and_those_of_queries_and_values_do() -> None:
    pooling = AttentionPooling(16, 8, SHAPE)
    pooling(torch.randn(2, 5, 16), _mask()).sum().backward()
    gradient = pooling.layers[0].self_attn.in_proj_bias.grad
    assert gradient[16:32].abs().max() == 0
    assert gradient[:16].abs().max() > 0
    assert gradient[32:].abs().max() > 0


def test_recomputed_layers_give_the_same_gradients() -> None:
    pooling = AttentionPooling(
        16, 8, AttentionShape(layers=2, heads=4, feed_forward=24, dropout=0.0)
    )
    vectors = torch.randn(2, 5, 16)
    pooling(vectors, _mask()).sum().backward()
    kept = [parameter.grad.clone() for parameter in pooling.parameters()]
    pooling.zero_grad()
    pooling.recompute = True
    pooling(vectors, _mask()).sum().backward()
    assert all(
        torch.allclose(one, parameter.grad)
        for one, parameter in zip(kept, pooling.parameters(), strict=True)
    )


def test_a_head_with_dropout_varies_in_training_alone() -> None:
    shape = AttentionShape(layers=1, heads=4, feed_forward=24, dropout=0.0, head_dropout=0.5)
    pooling, vectors = AttentionPooling(16, 8, shape), torch.randn(2, 5, 16)
    assert not torch.equal(pooling(vectors, _mask()), pooling(vectors, _mask()))
    pooling.eval()
    assert torch.equal(pooling(vectors, _mask()), pooling(vectors, _mask()))


def test_a_head_is_as_wide_inside_as_its_output_by_default() -> None:
    default = AttentionPooling(16, 8, SHAPE).head
    assert (default.fc1.weight.shape, default.fc2.weight.shape) == ((8, 16), (8, 8))
    wide = AttentionPooling(
        16, 8, AttentionShape(layers=1, heads=4, feed_forward=24, dropout=0.0, head_width=40)
    )
    assert (wide.head.fc1.weight.shape, wide.head.fc2.weight.shape) == ((40, 16), (8, 40))
    assert wide(torch.randn(2, 5, 16), _mask()).shape == (2, 8)


def test_layers_start_with_weights_of_their_own() -> None:
    pooling = AttentionPooling(16, 8, SHAPE)
    assert not torch.equal(pooling.layers[0].linear1.weight, pooling.layers[1].linear1.weight)


def test_a_width_that_the_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"attention\.heads: .*4 heads"):
        AttentionPooling(18, 8, SHAPE)


def test_a_masked_mean_counts_valid_vectors() -> None:
    vectors = torch.tensor([[[1.0], [3.0], [50.0]]])
    assert masked_mean(vectors, torch.tensor([[True, True, False]])).tolist() == [[2.0]]
    assert torch.allclose(l2_normalise(vectors).norm(dim=-1), torch.ones(1, 3))
