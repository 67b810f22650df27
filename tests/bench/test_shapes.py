import pytest
import torch

from bnlab.bench.shapes import DEFAULTS, Shape, shapes_from


@pytest.mark.parametrize("text", ["4096x512", "8x3x9", "2x3x4x5", "2x3x4x5x6", "2x3x4x5:channels_last"])
def test_a_shape_is_read_as_it_is_written(text):
    assert str(Shape.read(text)) == text


def test_a_list_is_read_in_its_order():
    assert shapes_from("2x3, 4x5x6x7:channels_last") == [Shape((2, 3)), Shape((4, 5, 6, 7), channels_last=True)]
    assert len(shapes_from(DEFAULTS)) == 8


@pytest.mark.parametrize(
    "text", ["", "8", "8x", "x8", "0x3", "8x3x0", "8x-3", "8*3", "8x3:", "8x3x5:nhwc", "8x3x1x1x1x1"]
)
def test_anything_else_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=rf"expected a shape such as .*, got '{text.replace('*', '.')}'"):
        Shape.read(text)


def test_vectors_have_no_positions_for_channels_last():
    with pytest.raises(ValueError, match="expected a shape with positions for channels_last, got '8x3:channels_last'"):
        Shape.read("8x3:channels_last")


def test_numbers_come_in_the_shape_and_the_layout():
    generator = torch.Generator().manual_seed(0)
    for text, stride in (("2x3x4x5", (60, 20, 5, 1)), ("2x3x4x5:channels_last", (60, 1, 15, 3)), ("2x3", (3, 1))):
        x = Shape.read(text).random(generator, torch.device("cpu"))
        assert (x.shape, x.stride(), x.dtype) == (Shape.read(text).sizes, stride, torch.float32)
        assert Shape.read(text).elements == x.numel()
