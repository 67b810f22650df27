import matplotlib as mpl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import is_color_like, to_rgb

from bnlab.figures import style

LONG = "With batch norm the network still trains at a learning rate thirty times larger than without it, for every seed"


@pytest.fixture(autouse=True)
def settings_as_before():
    with mpl.rc_context():
        mpl.rcdefaults()
        yield


def lightness(colour):
    """CIE L*, what a greyscale print keeps of a colour: 0 black, 100 white."""
    linear = [((c + 0.055) / 1.055) ** 2.4 if c > 0.04045 else c / 12.92 for c in to_rgb(colour)]
    luminance = sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return 116 * luminance ** (1 / 3) - 16


def title_box(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return figure.texts[0].get_window_extent(canvas.get_renderer())


def test_every_role_has_a_colour_of_its_own():
    assert all(is_color_like(colour) for colour in style.COLOURS.values())
    assert len(set(style.COLOURS.values())) == len(style.COLOURS)


@pytest.mark.parametrize(("one", "other"), [("no_norm", "batch_norm"), ("averaged", "other")])
def test_roles_that_are_compared_differ_in_greyscale(one, other):
    assert abs(lightness(style.COLOURS[one]) - lightness(style.COLOURS[other])) > 20


def test_the_grid_is_lighter_than_everything_drawn_on_it():
    grid = lightness(style.COLOURS["grid"])
    assert all(lightness(colour) < grid for role, colour in style.COLOURS.items() if role != "grid")


def test_apply_takes_the_frame_away_and_puts_a_grid_behind_the_data():
    style.apply()
    _, axes = style.new_figure(title="a finding")
    ax = axes.item()
    assert not ax.spines["top"].get_visible()
    assert not ax.spines["right"].get_visible()
    assert ax.get_axisbelow() is True
    assert all(line.get_visible() and line.get_color() == style.COLOURS["grid"] for line in ax.get_xgridlines())


def test_no_text_is_smaller_than_ten_points():
    style.apply()
    _, axes = style.new_figure(title="a finding")
    ax = axes.item()
    ax.plot([0, 1], label="a line")
    ax.set(xlabel="x", ylabel="y", title="a panel")
    ax.legend()
    words = [
        ax.title,
        ax.xaxis.label,
        ax.yaxis.label,
        *ax.get_xticklabels(),
        *ax.get_yticklabels(),
        *ax.get_legend().get_texts(),
    ]
    assert min(word.get_fontsize() for word in words) >= 10


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 3), (2, 1), (2, 2)])
def test_axes_always_come_as_rows_and_columns(rows, columns):
    figure, axes = style.new_figure(rows, columns, title="a finding")
    assert axes.shape == (rows, columns)
    assert list(axes.flat) == figure.axes


def test_new_figure_has_the_size_asked_for():
    figure, _ = style.new_figure(width=5, height=2, title="a finding")
    assert tuple(figure.get_size_inches()) == (5, 2)


def test_new_figure_passes_further_arguments_on():
    _, axes = style.new_figure(1, 2, title="a finding", sharey=True)
    axes[0, 0].set_ylim(0, 7)
    assert axes[0, 1].get_ylim() == (0, 7)


@pytest.mark.parametrize("width", [4.0, 8.0, 12.0])
def test_a_long_title_is_broken_into_lines_that_fit_and_fill_the_width(width):
    style.apply()
    figure, _ = style.new_figure(width=width, title=LONG)
    assert " ".join(figure.get_suptitle().split()) == LONG
    box = title_box(figure)
    assert box.x0 >= 0
    assert 0.7 * figure.bbox.width < box.x1 <= figure.bbox.width


def test_the_title_stands_at_the_left_above_the_axes():
    style.apply()
    figure, axes = style.new_figure(title=LONG)
    box = title_box(figure)
    assert box.x0 < 0.02 * figure.bbox.width
    assert box.y1 <= figure.bbox.height
    assert box.y0 >= axes.item().get_window_extent().y1
