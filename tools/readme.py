"""The blocks of the README that are written by a program, each between two comments that name it."""

import re


def with_block(readme: str, block: str, *, name: str) -> str:
    r"""The README with this block in place of the one that it has under that name.

    Raises:
        ValueError: it has no place for one.

    Example:
        >>> with_block("<!-- ledger -->old<!-- end of the ledger -->", "new", name="ledger")
        '<!-- ledger -->\n\nnew\n\n<!-- end of the ledger -->'
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of the {name} -->"
    place = re.compile(rf"(?<={begin}).*?(?={end})", re.DOTALL)
    if not place.search(readme):
        raise ValueError(f"expected the comments {begin} and {end} in the README, got a README without them")
    return place.sub(lambda _: f"\n\n{block}\n\n", readme)
