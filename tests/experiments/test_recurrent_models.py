import pytest
import torch

from bnlab.experiments.recurrent_models import RecurrentClassifier


def made(norm, gamma=0.1, seed=3):
    return RecurrentClassifier(2, 10, hidden=6, length=7, norm=norm, gamma=gamma, seed=seed)


def test_the_seed_alone_draws_the_weights_and_leaves_torchs_generator():
    before = torch.get_rng_state()
    plain, normed, other = made(None), made("batch"), made(None, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    for name in ("lstm.weight_ih", "lstm.weight_hh", "lstm.bias", "head.weight", "head.bias"):
        assert torch.equal(plain.get_parameter(name), normed.get_parameter(name))
        assert not torch.equal(plain.get_parameter(name), other.get_parameter(name))


def test_the_forget_bias_is_added_to_the_forget_gate_alone():
    plain = made(None)
    biased = RecurrentClassifier(2, 10, hidden=6, length=7, norm=None, forget_bias=2.0, seed=3)
    added = (biased.lstm.bias - plain.lstm.bias).detach()
    assert added.view(4, 6)[1].tolist() == pytest.approx([2.0] * 6)
    assert (added.view(4, 6)[[0, 2, 3]] == 0).all()
    theirs = torch.nn.LSTM(2, 6, batch_first=True)  # whose second gate forgets
    names = {"weight_ih_l0": "weight_ih", "weight_hh_l0": "weight_hh", "bias_ih_l0": "bias"}
    state = {name: plain.lstm.get_parameter(own) for name, own in names.items()}
    state["bias_hh_l0"] = (torch.arange(24) // 6 == 1) * 2.0
    theirs.load_state_dict(state)
    x = torch.randn(5, 7, 2)
    torch.testing.assert_close(biased.lstm(x)[0], theirs(x)[0])


@pytest.mark.parametrize("norm", [None, "batch"])
def test_it_classifies_by_the_last_hidden_state(norm):
    model, x = made(norm).eval(), torch.randn(5, 7, 2)
    outputs, _ = model.lstm(x)
    torch.testing.assert_close(model(x), model.head(outputs[:, -1]))


@pytest.mark.parametrize("gamma", [0.1, 1.0])
def test_gamma_starts_where_it_is_told(gamma):
    scales = [p for name, p in made("batch", gamma).named_parameters() if "norm" in name and name.endswith("weight")]
    assert len(scales) == 3
    assert all(torch.equal(scale, torch.full_like(scale, gamma)) for scale in scales)
