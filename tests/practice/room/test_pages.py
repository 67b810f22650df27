"""A page as HTML and as Markdown."""

from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

from bnlab.practice.interview.room.pages import Heading, Lines, Picture, Points, Table, Text, to_html, to_markdown

HOSTILE = '<script>alert("1")</script> & `a < b` * _x_ | # [y](z)'
PAGE = [
    Heading(HOSTILE, 1),
    Text(HOSTILE),
    Points((HOSTILE, "two")),
    Table((("head", "score"), (HOSTILE, "1"))),
    Lines(f"{HOSTILE}\n\n  </code></pre>"),
    Picture(Figure, "##  50%", 'what "it" shows'),
]


class Tags(HTMLParser):
    """The tags of a page, which must close in order, and its text."""

    def __init__(self, page):
        super().__init__()
        self.seen, self.open, self.text = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_html_shows_every_text_as_it_is_and_runs_none():
    page = Tags(to_html(PAGE))
    assert page.open == []
    assert "script" not in [tag for tag, _ in page.seen]
    assert page.text.count(HOSTILE.replace("`", "")) == 4  # heading, paragraph, list and table
    assert page.text.count(HOSTILE) == 2  # as the title and as lines, where backticks are no marks


def test_html_needs_no_other_file():
    links = [value for _, attrs in Tags(to_html(PAGE)).seen for name, value in attrs.items() if name in {"src", "href"}]
    assert len(links) == 1
    assert links[0].startswith("data:image/png;base64,")


def test_markdown_escapes_its_signs_but_not_in_code():
    escaped = r'\<script\>alert("1")\</script\> & `a < b` \* \_x\_ \| \# \[y\](z)'
    page = to_markdown(PAGE)
    assert f"# {escaped}\n\n{escaped}\n\n- {escaped}\n- two\n\n" in page
    assert f"| head | score |\n| --- | --- |\n| {escaped} | 1 |\n" in page


def test_markdown_keeps_lines_and_has_words_for_a_picture():
    page = to_markdown(PAGE)
    assert f"    {HOSTILE}\n\n      </code></pre>\n\n    ##  50%\n" in page


@pytest.mark.parametrize("write", [to_html, to_markdown])
def test_a_page_is_the_same_each_time(write):
    assert write(PAGE) == write(PAGE)
