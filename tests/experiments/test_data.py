import random
import socket

import mnist1d.data
import numpy as np
import platformdirs
import pytest
import torch
from sklearn.datasets import load_digits

from bnlab.experiments import data


def global_generators():
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - the generator that mnist1d draws from
    return random.getstate(), name, keys.tolist(), rest, torch.get_rng_state().tolist()


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """MNIST-1D made by the package itself, once, with no network; what the package made, and the cache it left."""

    def no_connection(*_, **__):
        raise AssertionError("a connection was opened")

    made = []

    def recorded(settings, make=mnist1d.data.make_dataset):
        made.append(make(settings))
        return made[-1]

    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BNLAB_CACHE_DIR", str(cache))
        patch.setattr(socket.socket, "connect", no_connection)
        patch.setattr(mnist1d.data, "make_dataset", recorded)
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002 - not the seed that the package sets
        before = global_generators()
        dataset = data.mnist1d()
        unchanged = global_generators() == before
    return dataset, made, cache, unchanged


@pytest.fixture
def cached(generated, monkeypatch):
    """The cache that `generated` filled; whoever generates again fails."""
    monkeypatch.setenv("BNLAB_CACHE_DIR", str(generated[2]))
    monkeypatch.setattr(data, "_generate", None)


@pytest.fixture
def generations(monkeypatch, tmp_path, rng):
    """A generator that costs nothing, with an empty cache; holds one entry for each time that it ran."""
    monkeypatch.setenv("BNLAB_CACHE_DIR", str(tmp_path / "cache"))
    arrays = rng.normal(size=(5000, 40)), rng.integers(10, size=5000)
    runs = []

    def generate():
        runs.append("run")
        return arrays

    monkeypatch.setattr(data, "_generate", generate)
    return runs


def same(one, other):
    return all(torch.equal(a.x, b.x) and torch.equal(a.y, b.y) for a, b in zip(one, other, strict=True))


def test_digits_have_the_promised_shapes_and_dtypes():
    assert [split.x.shape for split in data.digits()] == [(1077, 1, 8, 8), (360, 1, 8, 8), (360, 1, 8, 8)]
    assert [split.y.shape for split in data.digits()] == [(1077,), (360,), (360,)]
    assert {(split.x.dtype, split.y.dtype) for split in data.digits()} == {(torch.float32, torch.int64)}


def test_digits_splits_share_out_every_image_with_its_own_label():
    pixels, labels = load_digits(return_X_y=True)
    lowest, highest = data.digits().train.x.aminmax()  # 0 and 16 in scikit-learn's images
    ours = [
        torch.column_stack([(split.x.flatten(1) - lowest) / (highest - lowest) * 16, split.y]).round().int()
        for split in data.digits()
    ]
    theirs = np.column_stack([pixels, labels]).astype(int)
    assert sorted(torch.cat(ours).tolist()) == sorted(theirs.tolist())


def test_digits_are_in_the_same_proportion_in_every_split():
    whole = np.bincount(load_digits().target)
    for split in data.digits():
        expected = whole * len(split.y) / whole.sum()
        assert abs(split.y.bincount().numpy() - expected).max() <= 1


def test_the_split_of_the_digits_is_the_same_for_everyone():
    assert data.digits().test.y[:12].tolist() == [7, 6, 3, 7, 7, 3, 2, 8, 9, 3, 2, 6]


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize("name", ["digits", "mnist1d"])
def test_all_splits_are_normalised_by_the_training_split(name):
    dataset = getattr(data, name)()
    train = dataset.train.x.double()
    assert abs(train.mean()) < 1e-6  # float32 values, so not 1e-10
    assert abs(train.std(correction=0) - 1) < 1e-6
    for split in dataset[1:]:
        assert 1e-5 < abs(split.x.double().mean()) < 0.1  # nearly, since it is not their own mean


def test_digits_map_one_grey_to_one_value_in_every_split():
    greys = [split.x.unique() for split in data.digits()]  # a scale per pixel or per split would give more
    assert len(greys[0]) == 17
    assert all(torch.equal(grey, greys[0]) for grey in greys)


def test_digits_hold_constant_pixels_so_no_pixel_can_have_its_own_scale():
    assert (data.digits().train.x.std(0) == 0).any()


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize("name", ["digits", "mnist1d"])
def test_a_caller_cannot_spoil_the_data_of_the_next(name):
    first, second = getattr(data, name)(), getattr(data, name)()
    assert same(first, second)
    for split in first:
        split.x.zero_()
        split.y.zero_()
    assert same(second, getattr(data, name)())


@pytest.mark.usefixtures("cached")
def test_the_splits_of_a_dataset_do_not_share_memory():
    assert len({split.x.untyped_storage().data_ptr() for split in data.mnist1d()}) == 3


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize("name", ["digits", "mnist1d"])
def test_loading_leaves_the_global_generators_alone(name):
    before = global_generators()
    getattr(data, name)()
    assert global_generators() == before


def test_generating_leaves_the_global_generators_alone(generated):
    *_, unchanged = generated
    assert unchanged


def test_generators_are_restored_when_generating_fails(monkeypatch):
    def fails(_):
        np.random.seed(0)  # noqa: NPY002 - as the package does
        random.seed(0)
        raise MemoryError

    monkeypatch.setattr(mnist1d.data, "make_dataset", fails)
    before = global_generators()
    with pytest.raises(MemoryError):
        data._generate()
    assert global_generators() == before


@pytest.mark.usefixtures("cached")
def test_mnist1d_has_the_promised_shapes_and_dtypes():
    assert [split.x.shape for split in data.mnist1d()] == [(3000, 1, 40), (1000, 1, 40), (1000, 1, 40)]
    assert [split.y.shape for split in data.mnist1d()] == [(3000,), (1000,), (1000,)]
    assert {(split.x.dtype, split.y.dtype) for split in data.mnist1d()} == {(torch.float32, torch.int64)}


def test_mnist1d_is_what_the_package_makes_split_in_its_order(generated):
    dataset, (made,), *_ = generated
    mean, std = made["x"][:3000].mean(), made["x"][:3000].std()
    x = [(part - mean) / std for part in (made["x"][:3000], made["x"][3000:], made["x_test"])]
    y = [made["y"][:3000], made["y"][3000:], made["y_test"]]
    assert all(torch.equal(split.x[:, 0], torch.tensor(part).float()) for split, part in zip(dataset, x, strict=True))
    assert all(split.y.tolist() == part.tolist() for split, part in zip(dataset, y, strict=True))


def test_mnist1d_gets_the_seed_and_sizes_that_name_its_cache_file(generated, monkeypatch):
    asked = []

    def recorded(settings):
        asked.append(vars(settings))
        return generated[1][0]

    monkeypatch.setattr(mnist1d.data, "make_dataset", recorded)
    monkeypatch.setitem(data.SETTINGS, "seed", 7)  # not the package's default
    data._generate()
    assert asked[0]["seed"] == 7
    assert asked[0]["num_samples"] == 5000
    assert "seed=7" in data._cache_file().name


@pytest.mark.usefixtures("cached")
def test_mnist1d_from_the_cache_is_bitwise_what_was_generated(generated):
    assert same(data.mnist1d(), generated[0])


def test_mnist1d_is_generated_once(generations):
    assert same(data.mnist1d(), data.mnist1d())
    assert len(generations) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",  # noqa: ARG005 - created, never written
        lambda content: content[:1000],  # cut within the first array
        lambda content: content[:-1],  # cut at the very end
        lambda content: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],  # one bit of one value
        lambda content: content[::-1],  # no such format
    ],
    ids=["empty", "cut_early", "cut_late", "one_bit", "garbage"],
)
def test_a_damaged_cache_file_is_generated_again(generations, damage):
    before = data.mnist1d()
    cache = data._cache_file()
    whole = cache.read_bytes()
    cache.write_bytes(damage(whole))
    assert same(data.mnist1d(), before)
    assert len(generations) == 2
    assert cache.read_bytes() == whole


def test_another_version_of_the_package_is_generated_again(generations, monkeypatch):
    data.mnist1d()
    monkeypatch.setattr(data, "version", lambda _: "99.0")
    data.mnist1d()
    assert len(generations) == 2


@pytest.mark.parametrize("setting", list(data.SETTINGS))
def test_another_setting_is_generated_again(generations, monkeypatch, setting):
    data.mnist1d()
    monkeypatch.setitem(data.SETTINGS, setting, 1)
    data.mnist1d()
    assert len(generations) == 2


def test_a_cache_that_cannot_be_written_is_no_error(generations, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BNLAB_CACHE_DIR", str(tmp_path / "file" / "cache"))  # stops root too, unlike permissions
    assert same(data.mnist1d(), data.mnist1d())
    assert len(generations) == 2


@pytest.mark.usefixtures("generations")
def test_a_write_that_breaks_off_leaves_no_file(monkeypatch):
    def disk_full(path, content):
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(data.Path, "write_bytes", disk_full)
    data.mnist1d()
    assert list(data._cache_file().parent.iterdir()) == []


@pytest.mark.usefixtures("generations")
def test_storing_leaves_only_the_cache_file():
    data.mnist1d()
    assert list(data._cache_file().parent.iterdir()) == [data._cache_file()]


@pytest.mark.usefixtures("generations")
def test_a_cache_file_that_is_being_replaced_is_read_whole(monkeypatch):
    expected = data.mnist1d()
    read = []

    def replace_slowly(source, target, replace=data.Path.replace):
        read.append(data._read_cache())  # another process reads at the worst moment
        return replace(source, target)

    monkeypatch.setattr(data.Path, "replace", replace_slowly)
    data._generate_and_cache()
    assert np.array_equal(read[0][1], torch.cat([split.y for split in expected]))


def test_the_cache_is_the_users_unless_the_environment_names_another(monkeypatch, tmp_path):
    monkeypatch.delenv("BNLAB_CACHE_DIR", raising=False)
    assert data._cache_file().parent == platformdirs.user_cache_path("bnlab")
    monkeypatch.setenv("BNLAB_CACHE_DIR", str(tmp_path))
    assert data._cache_file().parent == tmp_path
