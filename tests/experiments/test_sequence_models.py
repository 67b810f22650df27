from functools import partial

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from bnlab.experiments.sequence_models import PADDING, AllSteps, Attention, EachStep, RealSteps, Transformer
from bnlab.layers import BatchNorm1d, GhostBatchNorm1d, LayerNorm, RMSNorm
from bnlab.layers.recurrent import SequenceBatchNorm1d

NORMS = {
    "layer": lambda c: EachStep(LayerNorm(c)),
    "rms": lambda c: EachStep(RMSNorm(c)),
    "all": lambda c: AllSteps(BatchNorm1d(c)),
    "real": lambda c: RealSteps(SequenceBatchNorm1d(c)),
    "one": lambda c: AllSteps(GhostBatchNorm1d(c, ghost_size=1)),
}
EACH_STEP = ("layer", "rms")


def made(norm, seed=3, **changes):
    settings = {"length": 7, "width": 8, "heads": 2, "blocks": 2, "norm": NORMS[norm]} | changes
    return Transformer(9, **settings, generator=torch.Generator().manual_seed(seed))


def tokens(n=4, steps=7):
    return torch.randint(1, 9, (n, steps))


def weights(model):
    return [p for name, p in model.named_parameters() if "norm" not in name and "before" not in name]


def test_attention_equals_torchs():
    ours, theirs = Attention(8, 2), nn.MultiheadAttention(8, 2, batch_first=True)
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.into.weight,
            "in_proj_bias": ours.into.bias,
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    x, seen = torch.randn(3, 5, 8), torch.ones(5, 5, dtype=torch.bool).tril()
    expected, _ = theirs(x, x, x, attn_mask=~seen)
    torch.testing.assert_close(ours(x, seen.expand(3, 1, 5, 5)), expected)


@pytest.mark.parametrize("norm", NORMS)
def test_every_norm_starts_from_the_same_weights(norm):
    for one, other in zip(weights(made("layer")), weights(made(norm)), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(made(norm).head.weight, made(norm, seed=4).head.weight)


def test_a_block_passes_its_input_through_where_its_branches_are_silent():
    block, x = made("layer").blocks[0], torch.randn(2, 7, 8)
    real, seen = torch.ones(2, 7, dtype=torch.bool), torch.ones(2, 1, 7, 7, dtype=torch.bool)
    for silent in (block.attention.out, block.steps[-1]):
        loud = silent.weight.detach().clone()
        nn.init.zeros_(silent.weight)
        other = block.steps if silent is block.attention.out else block.attention
        norm = block.before_steps if silent is block.attention.out else block.before_attention
        branch = other(norm(x, real)) if other is block.steps else other(norm(x, real), seen)
        torch.testing.assert_close(block(x, real, seen), x + branch)
        silent.weight.data.copy_(loud)


@pytest.mark.parametrize("norm", NORMS)
def test_logits_come_as_cross_entropy_takes_them(norm):
    x = tokens()
    y = made(norm)(x)
    assert y.shape == (4, 9, 7)
    assert nn.functional.cross_entropy(y, x).isfinite()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("training", [True, False])
def test_a_later_token_moves_earlier_outputs_only_by_the_statistics_of_training(norm, training):
    model, x = made(norm).train(training), tokens()
    changed = x.clone()
    changed[0, 5] = 1 + x[0, 5] % 8
    moved = (model(changed) - model(x)).detach().abs().amax(1)  # (n, steps)
    assert moved[0, 5] > 1e-3
    leaks = training and norm not in EACH_STEP
    for other, moves in ((moved[0, :5], leaks), (moved[1:], leaks and norm != "one")):
        assert (other > 1e-6).all() if moves else (other < 1e-6).all()


def test_without_the_causal_mask_a_later_token_is_seen():
    model, x = made("layer", causal=False), tokens()
    changed = x.clone()
    changed[0, 5] = 1 + x[0, 5] % 8
    assert ((model(changed) - model(x)).abs().amax(1)[0] > 1e-4).all()


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("norm", ["layer", "rms", "real"])
def test_padding_changes_no_real_step_where_it_stays_out_of_the_statistics(norm, causal):
    model, short = made(norm, length=9, causal=causal), tokens(steps=5)
    long = nn.functional.pad(short, (0, 4), value=PADDING)
    torch.testing.assert_close(model(long)[..., :5], model(short))


def test_padding_counts_in_plain_batch_norm():
    model, short = made("all", length=9), tokens(steps=5)
    long = nn.functional.pad(short, (0, 4), value=PADDING)
    assert (model(long)[..., :5] - model(short)).abs().mean() > 1e-2


def test_all_steps_is_batch_norm_of_the_steps_laid_out_as_one_batch():
    x = torch.randn(3, 5, 4)
    expected = BatchNorm1d(4)(x.flatten(0, 1)).unflatten(0, (3, 5))
    torch.testing.assert_close(AllSteps(BatchNorm1d(4))(x, torch.ones(3, 5, dtype=torch.bool)), expected)


@pytest.mark.parametrize("norm", NORMS)
def test_vmap_runs_several_networks_at_once_and_moves_their_statistics(norm):
    models, x = [made(norm, seed) for seed in (0, 1)], tokens()
    x[1, 4:] = PADDING
    parameters, buffers = stack_module_state(models)
    together = vmap(lambda p, b: functional_call(models[0], (p, b), (x,)))(parameters, buffers)
    for model, y in zip(models, together, strict=True):
        torch.testing.assert_close(model(x), y, atol=1e-5, rtol=1e-4)
    for place, model in enumerate(models):
        for name, buffer in model.named_buffers():
            torch.testing.assert_close(buffers[name][place], buffer)


def test_heads_that_do_not_divide_the_width_are_refused():
    make = partial(Transformer, 9, length=7, width=8, blocks=1, norm=NORMS["layer"])
    with pytest.raises(ValueError, match="heads: expected a divisor of the width 8, got 3"):
        make(heads=3)
